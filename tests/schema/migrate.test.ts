import { expect, test } from "bun:test";
import postgres from "postgres";
import { DatabaseProblem, openDatabase } from "../../relay/database/database.ts";
import { GROUP_ROLES, MAKE_ROLES, MAKE_SCHEMA, migrate, migrationText } from "../../relay/database/migrate.ts";
import { migrations } from "../../relay/database/schema.ts";
import { systemClock } from "../../relay/time/clock.ts";
import { OLDEST_PROGRAM, SCHEMA_VERSION } from "../../relay/version.ts";
import { createDatabase, type TestDatabase, testServer } from "../database.ts";
import { until } from "../relay.ts";
import { catalogText } from "./catalog.ts";
import { newRole } from "./role.ts";

const TIMING = { leaseMs: 120_000, clock: systemClock };

test("migrating twice applies all migrations once and changes nothing the second time", async () => {
  await using database = await createDatabase({ empty: true });
  expect(await migrate(database.sql)).toEqual(migrations().map(({ name }) => name));
  const once = await catalogText(database.sql);
  expect(await migrate(database.sql)).toEqual([]);
  expect(await catalogText(database.sql)).toBe(once);
});

test("a schema that stopped at any version and is migrated from there equals a fresh one", async () => {
  await using fresh = await createDatabase();
  const expected = await catalogText(fresh.sql);
  for (let version = 1; version < SCHEMA_VERSION; version++) {
    await using database = await createDatabase({ empty: true });
    await database.sql.begin(async (tx) => {
      await tx.unsafe(MAKE_ROLES).simple();
      await tx.unsafe(MAKE_SCHEMA).simple();
      await tx.unsafe("set local role mailchute_owner").simple();
      for (const { text } of migrations().slice(0, version)) await tx.unsafe(text).simple();
      await tx`insert into mailchute.schema_info (version, oldest_program) values (${version}, ${OLDEST_PROGRAM})`;
    });
    expect(await migrate(database.sql)).toEqual(migrations().slice(version).map(({ name }) => name));
    expect(await catalogText(database.sql)).toBe(expected);
  }
  // A database for each version.
}, 60_000);

test("the text of migrate --sql, run as one simple query by a superuser, makes the same schema with the same owner", async () => {
  await using fresh = await createDatabase();
  await using database = await createDatabase({ empty: true });
  const other = postgres(database.url, { max: 1, onnotice: () => {} });
  await other.unsafe(migrationText(0)).simple();
  const [role] = await other`select current_user = session_user as same`;
  await other.end();
  // The connection is another migration tool's: it gets its role back.
  expect(role?.same).toBe(true);
  expect(await catalogText(database.sql)).toBe(await catalogText(fresh.sql));
});

test("the text of migrate --sql, statement by statement as psql runs it, makes the same schema", async () => {
  await using fresh = await createDatabase();
  await using database = await createDatabase({ empty: true });
  const psql = postgres(database.url, { max: 1, onnotice: () => {} });
  for (const statement of statements(migrationText(0))) await psql.unsafe(statement).simple();
  await psql.end();
  expect(await catalogText(database.sql)).toBe(await catalogText(fresh.sql));
});

test("the text of migrate --sql --from N brings a schema at N to the newest", async () => {
  await using fresh = await createDatabase();
  await using database = await createDatabase({ empty: true });
  const from = SCHEMA_VERSION - 2;
  await database.sql.begin(async (tx) => {
    await tx.unsafe(MAKE_SCHEMA).simple();
    await tx.unsafe("set local role mailchute_owner").simple();
    for (const { text } of migrations().slice(0, from)) await tx.unsafe(text).simple();
    await tx`insert into mailchute.schema_info (version, oldest_program) values (${from}, ${OLDEST_PROGRAM})`;
  });
  await database.sql.unsafe(migrationText(from)).simple();
  expect(await catalogText(database.sql)).toBe(await catalogText(fresh.sql));
});

test("of two connections that migrate one database at once, one applies all and the other nothing", async () => {
  await using database = await createDatabase({ empty: true });
  const other = postgres(database.url, { max: 1, onnotice: () => {} });
  const applied = await Promise.all([migrate(database.sql), migrate(other)]);
  await other.end();
  expect(applied.map((names) => names.length).sort()).toEqual([0, migrations().length]);
});

test("two connections whose default isolation is repeatable read migrate one after the other too", async () => {
  await using database = await createDatabase({ empty: true });
  const strict = {
    max: 1,
    onnotice: () => {},
    connection: { default_transaction_isolation: "repeatable read" as const },
  };
  const [left, right] = [postgres(database.url, strict), postgres(database.url, strict)];
  await using _ended = { [Symbol.asyncDispose]: async () => void await Promise.all([left.end(), right.end()]) };
  const applied = await Promise.all([migrate(left), migrate(right)]);
  expect(applied.map((names) => names.length).sort()).toEqual([0, migrations().length]);
});

test("migrate waits while another connection holds the lock of migrations", async () => {
  await using database = await createDatabase({ empty: true });
  const holder = postgres(database.url, { max: 1, onnotice: () => {} });
  const release = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const holding = holder.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock(hashtext('mailchute.migrate'))`;
    held.resolve();
    await release.promise;
  });
  await held.promise;
  const migrating = migrate(database.sql);
  await waitsForLock(database);
  const [before] = await database.sql`select to_regnamespace('mailchute') is null as absent`;
  expect(before?.absent).toBe(true);
  release.resolve();
  await holding;
  expect(await migrating).toHaveLength(migrations().length);
  await holder.end();
});

test("a migration that somebody keeps waiting gives up its place in between, and says in the end who it is", async () => {
  await using database = await createDatabase({ empty: true });
  const holder = postgres(await database.as("lock_holder"), { max: 1, onnotice: () => {} });
  const [row] = await holder`select pg_backend_pid() as pid, pg_advisory_lock(hashtext('mailchute.migrate'))`;
  const migrating = migrate(database.sql, { lockMs: 20, rounds: 2 });
  const error = await migrating.then(() => undefined, (error) => error as Error);
  expect(error?.message).toMatch(
    /^Cannot migrate: what it needs is held by process \d+ of the role lock_holder since \S+Z; let it end, /,
  );
  expect(error?.message).toContain(`process ${row?.pid} of`);
  await holder.end();
  expect(await migrate(database.sql)).toHaveLength(migrations().length);
});

test("several databases of one cluster are migrated at the same time", async () => {
  const databases = await Promise.all(Array.from({ length: 4 }, () => createDatabase({ empty: true })));
  try {
    const applied = await Promise.all(databases.map(({ sql }) => migrate(sql)));
    expect(applied.map((names) => names.length)).toEqual(databases.map(() => migrations().length));
  } finally {
    await Promise.all(databases.map((database) => database[Symbol.asyncDispose]()));
  }
});

test("a schema that is too new for this program is refused, and migrate leaves it alone", async () => {
  await using database = await createDatabase();
  await database.sql`update mailchute.schema_info set version = 999, oldest_program = '99.0.0'`;
  const before = await catalogText(database.sql);
  const opened = openDatabase({ name: "home", display: "db.test/shop", url: database.url, pooled: false }, TIMING);
  const error = await opened.then(() => undefined, (reason: unknown) => reason);
  expect(error).toBeInstanceOf(DatabaseProblem);
  expect((error as Error).message).toContain("db.test/shop: its schema 999 is too new and needs mailchute 99.0.0");
  expect(await migrate(database.sql)).toEqual([]);
  expect(await catalogText(database.sql)).toBe(before);
});

test("a newer schema that still takes this program is served as it is", async () => {
  await using database = await createDatabase();
  await database.sql`update mailchute.schema_info set version = ${SCHEMA_VERSION + 1}`;
  const opened = await openDatabase({ name: "home", display: "test", url: database.url, pooled: false }, TIMING);
  await opened.sql.end({ timeout: 1 });
  expect(opened).toMatchObject({ schemaVersion: SCHEMA_VERSION + 1, migrated: [] });
});

test("a role that may work on the queue and not read what is paused is told what has to be run", async () => {
  await using database = await createDatabase();
  const role = newRole();
  const url = await database.as(role);
  await database.sql.unsafe(`
    grant usage on schema mailchute to ${role};
    grant select, insert, update, delete on all tables in schema mailchute to ${role};
    revoke all on mailchute.pause from ${role}`).simple();
  const opened = openDatabase({ name: "home", display: "db.test/shop", url, pooled: false }, TIMING);
  await expect(opened).rejects.toThrow(
    `the role ${role} may not work on the queue; a superuser, or who has made mailchute_relay, runs: grant mailchute_relay to ${role}`,
  );
});

test("PUBLIC may do nothing: no right on the schema, on a table, a sequence or a function", async () => {
  await using database = await createDatabase();
  const granted = await database.sql`
    with objects as (
      select 'schema' as kind, nspname::text as name, coalesce(nspacl, acldefault('n', nspowner)) as acl from pg_namespace where nspname = 'mailchute'
      union all
      select relkind::text, relname, coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner))
      from pg_class where relnamespace = 'mailchute'::regnamespace and relkind in ('r', 'S', 'v', 'm', 'p')
      union all
      select 'function', oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)) from pg_proc where pronamespace = 'mailchute'::regnamespace
    )
    select kind, name, a.grantee::int as grantee from objects cross join lateral aclexplode(acl) a`;
  expect(new Set(granted.map((row) => row.kind as string))).toEqual(new Set(["schema", "r", "S", "function"]));
  expect(granted.filter((row) => row.grantee === 0)).toEqual([]);
});

test("a function that a later migration adds is not left to PUBLIC", async () => {
  await using database = await createDatabase();
  await database.sql.begin(async (tx) => {
    await tx`set local role mailchute_owner`;
    await tx`create function mailchute.added() returns int language sql return 1`;
  });
  await migrate(database.sql);
  const [row] = await database.sql`select has_function_privilege('public', 'mailchute.added()', 'execute') as allowed`;
  expect(row?.allowed).toBe(false);
});

test("every SECURITY DEFINER function pins its search_path and names pg_temp last", async () => {
  await using database = await createDatabase();
  const rows = await database.sql`
    select oid::regprocedure::text as name, proconfig as config from pg_proc where pronamespace = 'mailchute'::regnamespace and prosecdef`;
  expect(rows.length).toBeGreaterThanOrEqual(4);
  for (const { name, config } of rows) {
    const path = (config as string[] | null)?.find((setting) => setting.startsWith("search_path="));
    expect(`${name} ${path}`).toBe(`${name} search_path=pg_catalog, mailchute, pg_temp`);
  }
});

test("when a superuser migrates, the owner of everything is a role that nobody can log in as", async () => {
  await using database = await createDatabase();
  const rows = await database.sql`
    select distinct r.rolname as owner, r.rolcanlogin as login, r.rolsuper as super from pg_roles r where r.oid in (
      select nspowner from pg_namespace where nspname = 'mailchute'
      union select relowner from pg_class where relnamespace = 'mailchute'::regnamespace
      union select proowner from pg_proc where pronamespace = 'mailchute'::regnamespace)`;
  expect(rows.map((row) => ({ ...row }))).toEqual([{ owner: "mailchute_owner", login: false, super: false }]);
  const { admin } = await testServer();
  const logins = await admin`select rolname from pg_roles where rolname = any (${[...GROUP_ROLES]}) and rolcanlogin`;
  expect(logins).toHaveLength(0);
});

/** Splits as psql does: at a semicolon that ends a line and stands in no body. */
function statements(text: string): readonly string[] {
  const found: string[] = [];
  let current = "";
  for (const line of text.split("\n")) {
    current += `${line}\n`;
    const isOpen = (current.match(/\$\$/g)?.length ?? 0) % 2 === 1;
    if (!isOpen && /;\s*$/.test(line)) {
      found.push(current);
      current = "";
    }
  }
  if (current.replaceAll(/^\s*--.*$/gm, "").trim() !== "") found.push(current);
  return found;
}

/** Resolves when a connection to this database waits for an advisory lock. */
async function waitsForLock(database: TestDatabase): Promise<void> {
  await until(async () => {
    const [row] = await database.sql`
      select count(*)::int as waiting from pg_locks
      where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`;
    return row?.waiting > 0;
  }, "waits for an advisory lock");
}

test("what an app has put into the search_path of the role that migrates is not bound into the functions of the schema", async () => {
  for (const how of ["migrate", "the text for another tool"]) {
    await using database = await createDatabase({ empty: true });
    await database.sql.unsafe(`
      create function public.trapped(numeric, integer) returns numeric language plpgsql as $$ begin raise 'trapped'; end $$;
      create operator public.* (function = public.trapped, leftarg = numeric, rightarg = integer)`);
    const sql = postgres(database.url, { max: 1, onnotice: () => {}, connection: { search_path: "public" } });
    if (how === "migrate") await migrate(sql);
    else await sql.unsafe(migrationText(0)).simple();
    const [row] = await database.sql`select mailchute.new_id() as id`;
    expect(row?.id).toBeString();
    // As it was.
    expect(await sql`show search_path`).toMatchObject([{ search_path: "public" }]);
    await sql.end();
  }
});
