import { expect, test } from "bun:test";
import { migrate } from "../../relay/database/migrate.ts";
import { migrations } from "../../relay/database/schema.ts";
import { OLDEST_PROGRAM, SCHEMA_VERSION } from "../../relay/version.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { type RelayProcess, startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { enqueueMany, until } from "../relay.ts";
import { type ScriptedServer, startScriptedServer } from "../scripted_server.ts";

// A deploy in which programs and schemas of two versions meet. There is one program so far: the schema is what is older
// or newer.

function environment(
  { url }: Pick<TestDatabase, "url">,
  others: { readonly server: ScriptedServer; readonly state: { readonly path: string } },
): Readonly<Record<string, string>> {
  const { server, state } = others;
  return {
    DATABASE_URL: url,
    SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
    RELAY_STATE_DIR: state.path,
    PORT: "0",
  };
}

async function readyz(relay: RelayProcess): Promise<string> {
  const url = /"status":"([^"]+)"/.exec(relay.output())?.[1] as string;
  return await fetch(new URL("/readyz", url)).then((response) => response.text());
}

async function isEmpty(database: TestDatabase): Promise<boolean> {
  return (await database.sql`select from mailchute.queue limit 1`).count === 0;
}

/** Copies beyond the first of each mail. */
function repeated({ mails }: ScriptedServer): number {
  return mails.length - new Set(mails.map(({ content }) => /^Message-ID: (.*)\r$/m.exec(content)?.[1])).size;
}

/** What the next version would bring: a column with a default, a function, and a wider answer of an older one. */
const EXPAND = `
alter table mailchute.queue add column note text not null default 'none';
alter table mailchute.message add column folder text default 'inbox';
alter table mailchute.recipient add column greeting text;
create function mailchute.added() returns integer language sql return 1;
create index queue_note on mailchute.queue (note) where note <> 'none';
update mailchute.schema_info set version = version + 1, changed_at = now()`;

/** As `migrate` does: one of two that each hold a table which the other wants begins anew. */
async function expand(database: TestDatabase): Promise<void> {
  for (let isDone = false; !isDone;) {
    try {
      await database.sql.begin(async (tx) => {
        await tx`set local role mailchute_owner`;
        await tx.unsafe(EXPAND).simple();
      });
      isDone = true;
    } catch (error) {
      if ((error as { readonly code?: string }).code !== "40P01") throw error;
    }
  }
}

test(
  "a migration that only adds, under a relay at work and beside one that starts: mail flows, each once",
  async () => {
    const MAILS = 900;
    await using database = await createDatabase();
    await using server = await startScriptedServer();
    using state = temporaryDirectory();
    using laterState = temporaryDirectory();
    await enqueueMany(database, MAILS / 3);
    await using relay = startRelayProcess(["run"], environment(database, { server, state }));
    await server.whenMails(MAILS / 9);
    await expand(database);
    await enqueueMany(database, MAILS / 3);
    await server.whenMails(MAILS * 2 / 3);
    await using later = startRelayProcess(["run"], environment(database, { server, state: laterState }));
    await later.printed('"serving"');
    await enqueueMany(database, MAILS / 3);
    await until(() => isEmpty(database), "all is sent", 60_000);
    expect([await readyz(relay), await readyz(later)]).toEqual(["ok", "ok"]);
    for (const each of [relay, later]) {
      each.kill("SIGTERM");
      expect(await each.exited).toBe(0);
      expect(each.output().split("\n").filter((line) => /"level":(40|50)/.test(line))).toEqual([]);
    }
    expect({ mails: server.mails.length, repeated: repeated(server) }).toEqual({ mails: MAILS, repeated: 0 });
    const [row] = await database.sql`select count(*)::int as sent from mailchute.recipient where state = 'sent'`;
    expect(row?.sent).toBe(MAILS);
  },
  120_000,
);

test(
  "a schema that becomes too new under a relay at work: it begins nothing more, settles and gives back what it holds, and says why",
  async () => {
    const MAILS = 40;
    const reached = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    let isHeld = true;
    await using database = await createDatabase();
    await using server = await startScriptedServer({
      on: {
        content: async () => {
          if (isHeld) reached.resolve();
          if (isHeld) await release.promise;
          return undefined;
        },
      },
    });
    using state = temporaryDirectory();
    await enqueueMany(database, MAILS);
    await using relay = startRelayProcess(["run"], environment(database, { server, state }));
    await reached.promise;
    await database.sql`update mailchute.schema_info set version = version + 1, oldest_program = '99.0.0'`;
    await relay.printed("nothing more is claimed");
    expect(await readyz(relay)).toContain("the schema of database home does not fit this program");
    expect(relay.output()).toMatch(/needs mailchute 99\.0\.0 or later, this is [\d.]+: install that version/);
    isHeld = false;
    release.resolve();
    await until(
      async () => (await database.sql`select from mailchute.queue where leased_by is not null`).count === 0,
      "all is given back",
    );
    const begun = server.mails.length;
    // What was in flight, three for each of four connections at most, came to its end.
    expect(begun).toBeLessThanOrEqual(12);
    const [left] = await database.sql`
    select count(*)::int as open, sum(attempts)::int as attempts, (select count(*)::int from mailchute.recipient where state = 'sent') as sent from mailchute.queue`;
    expect({ ...left }).toEqual({ open: MAILS - begun, attempts: 0, sent: begun });
    await using again = startRelayProcess(
      ["run"],
      environment(database, { server, state: { path: `${state.path}/other` } }),
    );
    expect(await again.exited).toBe(1);
    expect(again.output()).toContain("needs mailchute 99.0.0");

    // Rolled back, or the program of tomorrow: it goes on by itself.
    await database.sql`update mailchute.schema_info set oldest_program = ${OLDEST_PROGRAM}`;
    await until(() => isEmpty(database), "all is sent", 60_000);
    expect(await readyz(relay)).toBe("ok");
    relay.kill("SIGTERM");
    expect(await relay.exited).toBe(0);
    expect({ mails: server.mails.length, repeated: repeated(server) }).toEqual({ mails: MAILS, repeated: 0 });
  },
  120_000,
);

/** A database whose schema stopped one version before this program's. */
async function older(): Promise<TestDatabase> {
  const database = await createDatabase();
  await database.sql.begin(async (tx) => {
    await tx`drop schema mailchute cascade`;
    await tx`create schema mailchute authorization mailchute_owner`;
    await tx`set local role mailchute_owner`;
    for (const { text } of migrations().slice(0, -1)) await tx.unsafe(text).simple();
    await tx`insert into mailchute.schema_info (version, oldest_program) values (${
      SCHEMA_VERSION - 1
    }, ${OLDEST_PROGRAM})`;
  });
  return database;
}

test(
  "a program that finds an older schema migrates it where its role may, and otherwise ends and names the command",
  async () => {
    await using database = await older();
    await using server = await startScriptedServer();
    using state = temporaryDirectory();
    const role = "deploy_relay";
    const url = await database.as(role);
    await database.sql.unsafe(`grant mailchute_relay to ${role}; grant usage on schema mailchute to ${role};
    grant select on mailchute.schema_info to ${role}`).simple();
    await using refused = startRelayProcess(["run"], environment({ url }, { server, state }));
    expect(await refused.exited).toBe(1);
    expect(refused.output()).toContain(
      `its schema is at version ${
        SCHEMA_VERSION - 1
      }, this program needs ${SCHEMA_VERSION}: run mailchute migrate as the owner of the database`,
    );
    const [before] = await database.sql`select version from mailchute.schema_info`;
    expect(before?.version).toBe(SCHEMA_VERSION - 1);

    await using owner = startRelayProcess(["run", "--once"], environment(database, { server, state }));
    expect(await owner.exited).toBe(0);
    expect(owner.output()).toContain("schema migrated");
    expect(await migrate(database.sql)).toEqual([]);
    // And now the role without rights on the schema serves it.
    await enqueueMany(database, 1);
    await using served = startRelayProcess(["run", "--once"], environment({ url }, { server, state }));
    expect(await served.exited).toBe(0);
    expect(server.mails).toHaveLength(1);
  },
  60_000,
);
