import { expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import type { Sql } from "postgres";
import { createMailer } from "../../mod.ts";
import { on, run } from "../command.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { connectAs, MAIL, newRole, refusal, send } from "./role.ts";

/** What apps may call; all other functions of the schema are none of their business. */
const FOR_APPS = [
  "batch_status_v1",
  "cancel_many_v1",
  "cancel_v1",
  "enqueue_many_v1",
  "enqueue_v1",
  "new_id",
  "reschedule_v1",
  "send",
  "set_stream_v1",
  "split_mailbox",
  "status_v1",
  "suppress_v1",
  "suppression_v1",
  "to_mailbox",
  "to_mailboxes",
  "unsuppress_v1",
];

/** Gives rights by the real command. */
async function grants(database: TestDatabase, words: readonly string[]): Promise<void> {
  expect(await run(["grants", ...words], on(database))).toMatchObject({ code: 0 });
}

async function enqueue(
  sql: Sql,
  request: Readonly<Record<string, unknown>>,
): Promise<Readonly<Record<string, unknown>>> {
  const full = { from: { email: "a@shop.example.com" }, to: [{ email: "ann@example.com" }], subject: "Hi", text: "Hi" };
  const [row] = await sql`select id, created from mailchute.enqueue_v1(${
    JSON.stringify({ ...full, ...request })
  }::text::jsonb)`;
  return { ...row };
}

/** Tries every table and sequence of the schema, and everything that a claim does. */
async function expectNoTables(sql: Sql, database: TestDatabase): Promise<void> {
  const relations = await database.sql`
    select relname as name, relkind as kind from pg_class where relnamespace = 'mailchute'::regnamespace and relkind in ('r', 'S')`;
  expect(relations.length).toBeGreaterThan(10);
  for (const { name, kind } of relations) {
    const tries = kind === "S" ? [`select nextval('mailchute.${name}')`] : [
      `select from mailchute.${name}`,
      `select count(*) from mailchute.${name}`,
      `insert into mailchute.${name} default values`,
      `delete from mailchute.${name}`,
      `truncate mailchute.${name}`,
    ];
    for (const statement of tries) {
      expect({ statement, code: (await refusal(sql.unsafe(statement))).code }).toEqual({ statement, code: "42501" });
    }
  }
  const claims = [
    "update mailchute.queue set leased_by = 1, lease = lease + 1",
    "update mailchute.queue set due = now() where seq = 1",
    "select seq from mailchute.queue for update skip locked",
    "update mailchute.recipient set state = 'sent'",
    "update mailchute.app_role set app = 'other'",
  ];
  for (const statement of claims) {
    expect({ statement, code: (await refusal(sql.unsafe(statement))).code }).toEqual({ statement, code: "42501" });
  }
}

/** Tries every function of the schema. @returns the names of those that may be called */
async function callable(sql: Sql, database: TestDatabase): Promise<readonly string[]> {
  const functions = await database.sql`
    select proname as name, (select coalesce(string_agg('null::' || format_type(t, null), ', ' order by place), '')
      from unnest(proargtypes::oid[]) with ordinality as a(t, place)) as arguments
    from pg_proc where pronamespace = 'mailchute'::regnamespace order by 1`;
  const allowed = [];
  for (const { name, arguments: list } of functions) {
    const { code } = await refusal(sql.unsafe(`select mailchute.${name}(${list})`));
    if (code !== "42501") allowed.push(name as string);
  }
  return allowed;
}

test("a role with grants --app --from enqueues as its senders, reads no table and calls no function but those for apps", async () => {
  await using database = await createDatabase();
  const role = newRole();
  await using app = await connectAs(database, role);
  await grants(database, [role, "--app", "shop", "--from", "*@shop.example.com"]);

  const id = await send(app);
  const [status] = await app`select mailchute.status_v1(${id}) as message`;
  expect(status?.message).toMatchObject({ app: "shop", state: "queued" });
  await expectNoTables(app, database);
  expect(await callable(app, database)).toEqual(FOR_APPS);
});

test("a member of mailchute_client has the same rights, and without an app is refused with the hint", async () => {
  await using database = await createDatabase();
  const role = newRole();
  await using app = await connectAs(database, role);
  expect((await refusal(send(app))).code).toBe("42501");
  await database.sql.unsafe(`grant mailchute_client to ${role}`);
  const without = await refusal(send(app));
  expect(without.code).toBe("MC002");
  expect(without.message).toContain(`Role ${role} has no app here`);
  expect(without.message).toContain(`mailchute grants ${role} --from '*@your.domain'`);

  await database.sql`insert into mailchute.app (name, senders) values ('member', ${["*@shop.example.com"]})`;
  await database.sql`insert into mailchute.app_role (role, app) values (${role}, 'member')`;
  expect(await send(app)).toBeString();
  await expectNoTables(app, database);
  expect(await callable(app, database)).toEqual(FOR_APPS);
});

/** A sender that is not the app's, in each place where a mail names one. */
const FOREIGN_SENDERS: readonly (readonly [place: string, request: Readonly<Record<string, unknown>>])[] = [
  ["From", { from: "ceo@example.com" }],
  ["From of a subdomain", { from: "a@evil.shop.example.com" }],
  ["From that only ends like the pattern", { from: "a@notshop.example.com" }],
  ["From whose name is an allowed address", { from: { email: "ceo@example.com", name: "a@shop.example.com" } }],
  ["return path", { returnPath: "ceo@example.com" }],
  ["Sender header", { headers: [["Sender", "ceo@example.com"]] }],
  ["Sender header in other letters", { headers: [["sENDER", "Boss <ceo@example.com>"]] }],
  ["second Sender header", { headers: [["Sender", "a@shop.example.com"], ["Sender", "ceo@example.com"]] }],
  ["Sender header with two addresses", { headers: [["Sender", "ceo@example.com, a@shop.example.com"]] }],
  ["Sender header with a list that ends in an allowed address", {
    headers: [["Sender", "ceo@example.com, Shop <a@shop.example.com>"]],
  }],
  ["Sender header whose display name is an address in brackets", {
    headers: [["Sender", "<ceo@example.com> <a@shop.example.com>"]],
  }],
  ["Sender header with a group", { headers: [["Sender", "Bosses: ceo@example.com; <a@shop.example.com>"]] }],
];

test("a foreign sender is refused as not allowed, wherever the mail names it", async () => {
  await using database = await createDatabase();
  const role = newRole();
  await using app = await connectAs(database, role);
  await grants(database, [role, "--app", "shop", "--from", "*@shop.example.com"]);
  for (const [place, request] of FOREIGN_SENDERS) {
    expect({ place, code: (await refusal(send(app, request))).code }).toEqual({ place, code: "MC002" });
  }
  const allowed = [
    { from: "Any Name <ANY@Shop.Example.COM>" },
    { returnPath: "bounces@shop.example.com" },
    { returnPath: "" },
    { headers: [["Sender", "robot@shop.example.com"]] },
    { headers: [["Sender", '"Robot, the 2nd" <robot@shop.example.com>']] },
  ];
  for (const request of allowed) expect(await send(app, request)).toBeString();
});

test("grants --to limits the recipients of To, Cc and Bcc", async () => {
  await using database = await createDatabase();
  const role = newRole();
  await using app = await connectAs(database, role);
  await grants(database, [
    role,
    "--app",
    "preview",
    "--from",
    "*@shop.example.com",
    "--to",
    "*@corp.example",
    "--to",
    "me@home.example",
  ]);
  for (const field of ["to", "cc", "bcc"]) {
    const refused = await refusal(send(app, { to: "ok@corp.example", [field]: "customer@example.com" }));
    expect({ field, code: refused.code }).toEqual({ field, code: "MC003" });
    expect(refused.message).toContain("customer@example.com");
  }
  expect(await send(app, { to: "ok@corp.example", cc: "Me@Home.example", bcc: "other@corp.example" })).toBeString();
});

test("without --app the app has the role's name, and grants again replaces its addresses", async () => {
  await using database = await createDatabase();
  const role = newRole();
  await using app = await connectAs(database, role);
  await grants(database, [role, "--from", "*@old.example"]);
  expect((await refusal(send(app))).message).toContain(`App ${role} may not send as a@shop.example.com`);
  await grants(database, [role, "--from", "*@shop.example.com"]);
  const id = await send(app);
  const [status] = await app`select mailchute.status_v1(${id}) ->> 'app' as app`;
  expect(status?.app).toBe(role);
  expect((await refusal(send(app, { from: "a@old.example" }))).code).toBe("MC002");
});

test("a pattern's letters mean themselves: the LIKE wildcards % and _ and the backslash match nothing else", async () => {
  await using database = await createDatabase();
  const role = newRole();
  await using app = await connectAs(database, role);
  await grants(database, [role, "--app", "literal", "--from", "a_b%@shop.example.com"]);
  expect(await send(app, { from: "a_b%@shop.example.com" })).toBeString();
  for (const from of ["axb%@shop.example.com", "a_bxx@shop.example.com"]) {
    expect({ from, code: (await refusal(send(app, { from }))).code }).toEqual({ from, code: "MC002" });
  }
});

test("a message of another app is unknown to status, cancel and reschedule, and stays as it is", async () => {
  await using database = await createDatabase();
  const [mine, other] = [newRole(), newRole()];
  await using first = await connectAs(database, mine);
  await using second = await connectAs(database, other);
  for (const role of [mine, other]) await grants(database, [role, "--from", "*@shop.example.com"]);
  const id = await send(first);
  const ask = async (sql: Sql, asked: string) => {
    const [row] = await sql`
      select mailchute.status_v1(${asked}) as status, mailchute.reschedule_v1(${asked}, now() + interval '1 day') as reschedule,
        mailchute.cancel_v1(${asked}) as cancel`;
    return { ...row };
  };
  expect(await ask(second, id)).toEqual(await ask(second, randomUUID()));
  expect(await ask(second, id)).toEqual({ status: null, reschedule: "unknown", cancel: "unknown" });
  expect(await ask(first, id)).toMatchObject({
    status: { state: "queued" },
    reschedule: "rescheduled",
    cancel: "canceled",
  });
});

test("a batch and a tag of another app are unknown to batch_status and cancel_many, and their mails stay as they are", async () => {
  await using database = await createDatabase();
  const [mine, other] = [newRole(), newRole()];
  await using first = await connectAs(database, mine);
  await using second = await connectAs(database, other);
  for (const role of [mine, other]) await grants(database, [role, "--from", "*@shop.example.com"]);
  await send(first, { tags: ["news"] });
  const { batch } = await createMailer(first).sendMany(
    { from: MAIL.from, subject: "s", text: "t" },
    [{ to: MAIL.to }],
    {
      batch: "news",
    },
  );
  const ask = async (sql: Sql) => {
    const cancel = (what: Readonly<Record<string, string>>) =>
      sql`select mailchute.cancel_many_v1(${JSON.stringify(what)}::text::jsonb) as answer`.then(([row]) => row?.answer);
    const [row] = await sql`select mailchute.batch_status_v1(${batch}) as status`;
    return [row?.status?.total, await cancel({ tag: "news" }), await cancel({ batch })];
  };
  expect(await ask(second)).toEqual([undefined, 0, 0]);
  expect(await ask(first)).toEqual([1, 1, 1]);
});

test("two roles of one app share ids and keys; two apps may use the same id and the same key", async () => {
  await using database = await createDatabase();
  const [web, worker, other] = [newRole(), newRole(), newRole()];
  await using asWeb = await connectAs(database, web);
  await using asWorker = await connectAs(database, worker);
  await using asOther = await connectAs(database, other);
  for (const role of [web, worker]) await grants(database, [role, "--app", "shop", "--from", "*@shop.example.com"]);
  await grants(database, [other, "--app", "other", "--from", "*@shop.example.com"]);

  const id = randomUUID();
  expect(await enqueue(asWeb, { id, idempotencyKey: "order/1" })).toEqual({ id, created: true });
  expect(await enqueue(asWorker, { id })).toEqual({ id, created: false });
  expect(await enqueue(asWorker, { id: randomUUID(), idempotencyKey: "order/1" })).toEqual({ id, created: false });
  const [seen] = await asWorker`select mailchute.status_v1(${id}) ->> 'app' as app`;
  expect(seen?.app).toBe("shop");

  const theirs = { id, idempotencyKey: "order/1", text: "Other" };
  expect(await enqueue(asOther, theirs)).toEqual({ id, created: true });
  const texts = await database.sql`
    select m.app, c.text from mailchute.message m join mailchute.content c on c.id = m.content_id order by m.seq`;
  expect(texts.map(({ app, text }) => [app, text])).toEqual([["shop", "Hi"], ["other", "Other"]]);
  const [canceled] = await asOther`select mailchute.cancel_v1(${id}) as answer`;
  expect(canceled?.answer).toBe("canceled");
  const [untouched] = await asWeb`select mailchute.status_v1(${id}) ->> 'state' as state`;
  expect(untouched?.state).toBe("queued");
});

test("the same key with another mail is refused, and names the key", async () => {
  await using database = await createDatabase();
  const role = newRole();
  await using app = await connectAs(database, role);
  await grants(database, [role, "--from", "*@shop.example.com"]);
  await enqueue(app, { id: randomUUID(), idempotencyKey: "order/1" });
  const refused = await refusal(enqueue(app, { id: randomUUID(), idempotencyKey: "order/1", subject: "Other" }));
  expect(refused.code).toBe("MC004");
  expect(refused.message).toContain("order/1");
});

test("set role does not change who an app is: the login role counts", async () => {
  await using database = await createDatabase();
  const [mine, other] = [newRole(), newRole()];
  await using app = await connectAs(database, mine);
  await using _made = await connectAs(database, other);
  await grants(database, [mine, "--app", "mine", "--from", "*@shop.example.com"]);
  await grants(database, [other, "--app", "other", "--from", "ceo@example.com"]);
  await database.sql.unsafe(`grant ${other} to ${mine}`);
  const refused = await refusal(app.begin(async (tx) => {
    await tx.unsafe(`set local role ${other}`);
    await tx`select mailchute.send(${JSON.stringify({ ...MAIL, from: "ceo@example.com" })}::text::jsonb)`;
  }));
  expect(refused.message).toContain("App mine may not send as ceo@example.com");
  // No command that, run as it stands, would take from the app what it has.
  expect(refused.message).toEndWith(
    "An administrator allows it with mailchute grants, which replaces what the app has: --from 'ceo@example.com' beside all that it has already",
  );
});

test("an app's own objects on its search_path do not run inside the functions of the schema", async () => {
  await using database = await createDatabase();
  const role = newRole();
  await using app = await connectAs(database, role);
  await grants(database, [role, "--from", "*@shop.example.com"]);
  await database.sql.unsafe(`create schema trap authorization ${role}`);
  const id = await app.begin(async (tx) => {
    await tx.unsafe("set local search_path = pg_temp, trap, pg_catalog, mailchute");
    await tx.unsafe(
      "create function trap.lower(text) returns text language plpgsql as $$ begin raise 'trapped'; end $$",
    );
    await tx.unsafe(
      "create function trap.jsonb_typeof(jsonb) returns text language plpgsql as $$ begin raise 'trapped'; end $$",
    );
    await tx.unsafe("create temporary table app_role (role name, app text)");
    const [row] = await tx`
      select id from mailchute.enqueue_v1(${
      JSON.stringify({
        id: randomUUID(),
        from: { email: "a@shop.example.com" },
        to: [{ email: "b@example.com" }],
        subject: "Hi",
        text: "Hi",
      })
    }::text::jsonb)`;
    return row?.id as string;
  });
  expect(id).toBeString();
});

test("what another app has put into the caller's search_path does not run in the functions that run as their caller", async () => {
  await using database = await createDatabase();
  const [role, other] = [newRole(), newRole()];
  await using app = await connectAs(database, role);
  await using foreign = await connectAs(database, other);
  await grants(database, [role, "--from", "*@shop.example.com"]);
  // As every role may until Postgres 14, and as the app that owns the tables may in all.
  await database.sql.unsafe(`grant create on schema public to ${other}`);
  // Better fits than those of pg_catalog, which win wherever in the path they are.
  await foreign.unsafe(`
    create function public.trapped_jsonb(jsonb, jsonb) returns jsonb language plpgsql as $$ begin raise 'trapped %', $1; end $$;
    create operator public.-> (function = public.trapped_jsonb, leftarg = jsonb, rightarg = jsonb);
    create operator public.- (function = public.trapped_jsonb, leftarg = jsonb, rightarg = jsonb);
    create function public.trapped_number(numeric, integer) returns numeric language plpgsql as $$ begin raise 'trapped'; end $$;
    create operator public.* (function = public.trapped_number, leftarg = numeric, rightarg = integer)`);
  await send(app);
  const [row] = await app`select mailchute.new_id() as id`;
  expect(row?.id).toBeString();
  const rows = await database.sql`
    select proname as name, prosqlbody is not null or proconfig::text like '%search_path=%' as bound from pg_proc
    where pronamespace = 'mailchute'::regnamespace and proname in ${database.sql(FOR_APPS)}`;
  expect(rows.filter(({ bound }) => !bound)).toEqual([]);
});

test("what an app has put into the search_path of the relay's role does not run with the rights of the relay and its commands", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const role = newRole();
  await using app = await connectAs(database, role);
  await grants(database, [role, "--from", "*@shop.example.com"]);
  await database.sql.unsafe(`grant create on schema public to ${role}`);
  await app.unsafe("create table public.seen (by text, what text); grant insert on public.seen to public");
  for (
    const [call, kind] of [["to_jsonb", "text[]"], ["to_jsonb", "text"], ["to_jsonb", "jsonb"], ["unnest", "text[]"]]
  ) {
    const result = call === "unnest" ? "setof text" : "jsonb";
    const answer = call === "unnest" ? "return query select pg_catalog.unnest($1)" : "return pg_catalog.to_jsonb($1)";
    await app.unsafe(`
      create function public.${call}(${kind}) returns ${result} language plpgsql volatile as $$ begin
        insert into public.seen values (current_user, (select string_agg(text, ' ') from mailchute.content));
        ${answer};
      end $$`);
  }
  const id = await send(app, { tags: ["a"], text: "For Ann alone" });
  await using relay = await openTestRelay(database, { smtpPort: server.port });
  await relay.relay.runOnce();
  const env = { DATABASE_URL: database.url, SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none` };
  expect(await run(["show", id], env)).toMatchObject({ code: 0, stderr: "" });
  expect((await run(["doctor"], env)).stdout).toContain("queue");
  expect([...await app`select * from public.seen`]).toEqual([]);
  expect(server.mails).toHaveLength(1);
});
