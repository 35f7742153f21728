import { expect, test } from "bun:test";
import { createMailer } from "../../mod.ts";
import { fakeMailer, type Simulated } from "../../src/testing/testing.ts";
import { createDatabase } from "../database.ts";
import { makeDue, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { type Behaviour, BEHAVIOURS, type Subject, TEMPLATES } from "./behaviour.ts";

/** What an address asks for. */
function wished(address: string): string {
  return /^\w+/.exec(address)?.[0] ?? "";
}

/** The real mailer on a real Postgres, with a real relay and a server that does what addresses ask for. */
async function real(behaviour: Behaviour): Promise<unknown> {
  await using database = await createDatabase();
  for (const template of TEMPLATES) {
    const { name, subject, text = null, html = null, language = "" } = {
      text: undefined,
      html: undefined,
      language: "",
      ...template,
    };
    await database.sql`select mailchute.save_template('postgres', ${name}, ${subject}, ${text}, ${html}, ${language})`;
  }
  let isUncertain = false;
  await using server = await startScriptedServer({
    on: {
      rcpt: (address) => {
        isUncertain = wished(address) === "uncertain";
        if (wished(address) === "bounced") return "550 5.1.1 No such user";
        return wished(address) === "deferred" ? "450 4.2.0 Try again later" : undefined;
      },
      content: () => isUncertain ? { acceptAndClose: true } : "250 2.0.0 OK",
    },
  });
  await using running = await openTestRelay(database, { smtpPort: server.port });
  const subject: Subject = {
    mail: createMailer(database.sql),
    strict: createMailer(database.sql, { transaction: "required" }),
    transaction: async (work) => {
      const results: Awaited<ReturnType<typeof work>>[] = [];
      await database.sql.begin(async (tx) => void results.push(await work(tx)));
      return results[0] as Awaited<ReturnType<typeof work>>;
    },
    deliver: async () => {
      await makeDue(database);
      await running.relay.runOnce();
    },
    closeDigests: async () => {
      // As if they had been begun long ago, the digests before them too.
      await database.sql`update mailchute.digest set closed_at = closed_at - interval '40 days'`;
      await database.sql`
        update mailchute.digest_item set since = since - interval '40 days', look_at = now() - interval '1 second' where digest is null`;
      await database.sql`select mailchute.close_digests(1000)`;
    },
    hold: async (id) => {
      await database.sql`
        update mailchute.queue q set leased_by = 1, lease = lease + 1 from mailchute.message m where m.seq = q.seq and m.id = ${id}`;
    },
  };
  return plain(await behaviour(subject));
}

async function fake(behaviour: Behaviour): Promise<unknown> {
  const mail = fakeMailer({ templates: TEMPLATES });
  const subject: Subject = {
    mail,
    strict: createMailer(mail.connection, { transaction: "required" }),
    transaction: mail.transaction,
    deliver: async () => {
      for (const { id } of mail.sent) {
        const { recipients = [], digest } = await mail.get(id) ?? {};
        // Its digest is delivered.
        if (digest?.id !== undefined && digest.id !== id) continue;
        const waiting = recipients.filter(({ state }) => /^(queued|deferred|scheduled)$/.test(state));
        for (const { address } of waiting) mail.simulate(address, wished(address) as Simulated);
      }
    },
    closeDigests: () => Promise.resolve(void mail.closeDigests()),
    hold: (id) => Promise.resolve(mail.simulate(id, "sending")),
  };
  return plain(await behaviour(subject));
}

/**
 * Without what is another at each run: ids, the app's name, and times but for how long something waits, to half a
 * minute.
 */
function plain(seen: unknown): unknown {
  const text = JSON.stringify(seen, (name, value: unknown) => {
    if (name === "app") return "app";
    if (name === "nextAttemptAt") return Math.round((new Date(String(value)).getTime() - Date.now()) / 30_000);
    return value === undefined ? "undefined" : value;
  });
  return JSON.parse(
    text.replace(/[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[\da-f]{4}-[\da-f]{12}/gi, "id").replace(
      /"\d{4}-\d\d-\d\dT[^"]*Z"/g,
      '"time"',
    ),
  );
}

for (const [sentence, behaviour] of Object.entries(BEHAVIOURS)) {
  test(`the fake mailer does as the real one when ${sentence}`, async () => {
    const [expected, seen] = await Promise.all([real(behaviour), fake(behaviour)]);
    expect(seen).toEqual(expected);
  });
}
