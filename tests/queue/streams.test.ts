import { expect, test } from "bun:test";
import { createMailer, type MessageInput } from "../../mod.ts";
import { STREAMS } from "../../src/testing/fake_streams.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay } from "../relay.ts";
import { connectAs, newRole, refusal, send } from "../schema/role.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { openQueue } from "./setup.ts";

const DIGEST = { key: "codes", wait: "1h" };

/** What is stored of a mail that its stream may have said. */
async function stored(database: TestDatabase, id: string): Promise<object> {
  const [row] = await database.sql`
    select m.lane::int, q.lane::int as queued, extract(epoch from m.expires_at - greatest(m.created_at, m.scheduled_at))::int as expires, m.on_uncertain as uncertain
    from mailchute.message m join mailchute.queue q on q.seq = m.seq where m.id = ${id}`;
  return { ...row };
}

const AS_EVER = { lane: 1, queued: 1, expires: null, uncertain: null };

test("a preset gives a mail its priority, its expiry and what to do when nobody knows, and any other stream gives none", async () => {
  await using database = await createDatabase();
  const of = async (stream: string | undefined, more = {}) =>
    await stored(database, await enqueue(database, { ...(stream && { stream }), ...more }));
  expect(await of(undefined)).toEqual(AS_EVER);
  expect(await of("news")).toEqual(AS_EVER);
  expect(await of("transactional")).toEqual(AS_EVER);
  expect(await of("otp")).toEqual({ lane: 0, queued: 0, expires: 600, uncertain: "retry" });
  expect(await of("alert")).toEqual({ lane: 0, queued: 0, expires: 86_400, uncertain: "retry" });
  expect(await of("bulk")).toEqual({ lane: 2, queued: 2, expires: 259_200, uncertain: null });
  // From when it is due, and summer time, which ends meanwhile, makes no hour of it.
  const id = await database.sql.begin(async (tx) => {
    await tx`set local time zone 'Europe/Vienna'`;
    const mail = { from: "a@example.com", to: "b@example.com", subject: "s", text: "t", stream: "bulk" };
    const [row] = await tx`
      select mailchute.send(${JSON.stringify({ ...mail, scheduledAt: "2028-10-28T12:00:00Z" })}::text::jsonb) as id`;
    return row?.id as string;
  });
  expect(await stored(database, id)).toMatchObject({ expires: 259_200 });
});

test("what the mail says itself holds, each field for itself; null says nothing", async () => {
  await using database = await createDatabase();
  const otp = async (more: object) => await stored(database, await enqueue(database, { stream: "otp", ...more }));
  const usual = { lane: 0, queued: 0, expires: 600, uncertain: "retry" };
  expect(await otp({ priority: "normal" })).toEqual({ ...usual, lane: 1, queued: 1 });
  expect(await otp({ priority: "low", onUncertain: "hold" })).toEqual({
    ...usual,
    ...{ lane: 2, queued: 2, uncertain: "hold" },
  });
  const times = { scheduledAt: "2028-10-28T12:00:00Z", expiresAt: "2028-10-28T14:00:00Z" };
  expect(await otp(times)).toEqual({ ...usual, expires: 7_200 });
  expect(await otp({ priority: null, expiresAt: null, onUncertain: null, digest: null })).toEqual(usual);
});

test("the client, its mailer's default and sendMany give what SQL gives; sendMany is low where its stream says nothing", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql, { from: "shop@example.com", stream: "alert" });
  const message = { to: "ann@example.com", subject: "s", text: "t" } satisfies MessageInput;
  const { id } = await mail.send(message);
  expect(await stored(database, id)).toEqual({ lane: 0, queued: 0, expires: 86_400, uncertain: "retry" });
  const many = async (stream: string, more = {}) => {
    const { batch } = await mail.sendMany({ subject: "s", text: "t", stream, ...more }, [{ to: "ann@example.com" }]);
    const [row] = await database.sql`
      select m.id from mailchute.message m join mailchute.batch b on b.seq = m.batch where b.id = ${batch}`;
    return await stored(database, row?.id as string);
  };
  expect(await many("otp")).toEqual({ lane: 0, queued: 0, expires: 600, uncertain: "retry" });
  expect(await many("transactional")).toEqual(AS_EVER);
  expect(await many("news")).toEqual({ ...AS_EVER, lane: 2, queued: 2 });
  expect(await many("bulk")).toEqual({ lane: 2, queued: 2, expires: 259_200, uncertain: null });
  expect(await many("otp", { priority: "low", onUncertain: "hold" })).toEqual({
    ...{ lane: 2, queued: 2, expires: 600, uncertain: "hold" },
  });
  const scheduledAt = new Date(Date.now() + 3_600_000).toISOString();
  expect(await many("otp", { scheduledAt })).toMatchObject({ expires: 600 });
});

test("one-time passwords are in no digest; a digest of another stream expires as that says, from the end of its window", async () => {
  await using database = await createDatabase();
  const refused = await refusal(enqueue(database, { stream: "otp", digest: DIGEST }));
  expect(refused.code).toBe("MC001");
  expect(refused.message).toContain("digest does not go with the stream otp, whose mails go out one by one");
  const items = [];
  for (const to of ["ann@example.com", "ann@example.com", "bob@example.com"]) {
    items.push(await enqueue(database, { to, stream: "alert", digest: DIGEST }));
  }
  const [item] = await database.sql`select bool_or(expires_at is not null) as expires from mailchute.message`;
  expect(item).toEqual({ expires: false });
  const [{ closed } = {}] = await database.sql`select now() + interval '2 hours' as closed`;
  const relay = newRole();
  await using closer = await connectAs(database, relay);
  await database.sql.unsafe(`grant mailchute_relay to ${relay}`);
  await closer`select mailchute.close_digests(10, ${closed})`;
  const mails = await database.sql`
    select extract(epoch from m.expires_at - ${closed}::timestamptz)::int as expires, m.lane::int from mailchute.digest d join mailchute.message m on m.seq = d.seq`;
  expect([...mails]).toEqual([{ expires: 86_400, lane: 0 }, { expires: 86_400, lane: 0 }]);
});

test("an app's own stream stands in for that of all, for its mails only, until it is taken away", async () => {
  await using database = await createDatabase();
  const [role, other] = [newRole(), newRole()];
  for (const [name, app] of [[role, "shop"], [other, "press"]] as const) {
    await database.as(name);
    await database.sql`insert into mailchute.app (name, senders) values (${app}, '{*}')`;
    await database.sql`insert into mailchute.app_role (role, app) values (${name}, ${app})`;
    await database.sql.unsafe(`grant mailchute_client to ${name}`);
  }
  await using shop = await connectAs(database, role);
  await using press = await connectAs(database, other);
  const settings = { priority: "low", expires: "90s", backoff: ["1s", "2m"], onUncertain: "hold", digest: false };
  for (const name of ["otp", "codes"]) await shop`select mailchute.set_stream_v1(${name}, ${shop.json(settings)})`;
  const own = { lane: 2, queued: 2, expires: 90, uncertain: "hold" };
  expect(await stored(database, await send(shop, { stream: "otp" }))).toEqual(own);
  expect(await stored(database, await send(shop, { stream: "codes" }))).toEqual(own);
  expect((await refusal(send(shop, { stream: "codes", digest: DIGEST }))).message).toContain("the stream codes");
  expect(await stored(database, await send(press, { stream: "otp" }))).toMatchObject({ lane: 0, expires: 600 });
  expect(await stored(database, await send(press, { stream: "codes" }))).toEqual(AS_EVER);

  await shop`select mailchute.set_stream_v1('codes', '{"priority": "high"}')`;
  expect(await stored(database, await send(shop, { stream: "codes" }))).toEqual({ ...AS_EVER, lane: 0, queued: 0 });
  await shop`select mailchute.set_stream_v1('otp', null), mailchute.set_stream_v1('codes', 'null')`;
  expect(await stored(database, await send(shop, { stream: "otp" }))).toMatchObject({ lane: 0, expires: 600 });
  expect(await stored(database, await send(shop, { stream: "codes" }))).toEqual(AS_EVER);
});

test.each([
  ["Otp", "{}", "name"],
  ["otp", "[]", "settings"],
  ["otp", '{"priorty": "high"}', "priorty"],
  ["otp", '{"priority": "urgent"}', "priority"],
  ["otp", '{"expires": "soon"}', "expires"],
  ["otp", '{"expires": "32d"}', "expires"],
  ["otp", '{"backoff": "5s"}', "backoff"],
  ["otp", '{"backoff": []}', "backoff"],
  ["otp", '{"backoff": ["5s", null, "1m"]}', "backoff"],
  ["otp", '{"backoff": ["5s", "59s"]}', "backoff"],
  ["otp", '{"backoff": ["2d", "1m"]}', "backoff"],
  ["otp", `{"backoff": ${JSON.stringify(Array(21).fill("1m"))}}`, "backoff"],
  ["otp", '{"onUncertain": "ask"}', "onUncertain"],
  ["otp", '{"digest": "no"}', "digest"],
])("an app cannot set the stream %s to %s", async (name, settings, path) => {
  await using database = await createDatabase();
  const error = await database.sql`select mailchute.set_stream_v1(${name}, ${settings}::text::jsonb)`.catch((e) => e);
  expect({ code: error.code, path: JSON.parse(error.detail)[0].path }).toEqual({ code: "MC001", path });
  expect(await database.sql`select from mailchute.stream where scope <> 'all'`).toHaveLength(0);
});

test("reschedule takes along the expiry that the stream has given, whatever that says by then, and leaves the app's own", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql, { from: "shop@example.com", stream: "bulk" });
  const at = (days: number) => new Date(Date.UTC(2030, 0, 1 + days));
  const message = { to: "ann@example.com", subject: "s", text: "t" };
  const { id } = await mail.send({ ...message, scheduledAt: at(0) });
  const { batch } = await mail.sendMany({ subject: "s", text: "t", scheduledAt: at(0) }, [{ to: message.to }]);
  const [one] = await database.sql`
    select m.id from mailchute.message m join mailchute.batch b on b.seq = m.batch where b.id = ${batch}`;
  await database.sql`update mailchute.stream set expires_after = 3600 where name = 'bulk'`;
  for (const each of [id, one?.id as string]) {
    expect(await mail.reschedule(each, at(10))).toBe("rescheduled");
    expect((await mail.get(each))?.expiresAt).toEqual(at(13));
  }
  // Also where the app has said what the stream would have.
  const own = await mail.send({ ...message, stream: "alert", scheduledAt: at(0), expiresAt: at(1) });
  expect((await refusal(mail.reschedule(own.id, at(2)))).code).toBe("validation_error");
  expect((await mail.get(own.id))?.expiresAt).toEqual(at(1));
});

test("a mail without a stream asks for none, and one with a stream looks once, by the key", async () => {
  await using database = await createDatabase();
  const looks = async (request: object) =>
    await database.sql.begin(async (tx) => {
      await tx`select mailchute.send(${
        JSON.stringify({ from: "a@example.com", to: "b@example.com", subject: "s", text: "t", ...request })
      }::text::jsonb)`;
      const [row] = await tx`
        select seq_scan::int as whole, idx_scan::int as keyed from pg_stat_xact_user_tables where relname = 'stream' and schemaname = 'mailchute'`;
      return { ...row };
    });
  expect(await looks({})).toEqual({ whole: 0, keyed: 0 });
  expect(await looks({ priority: "high", tags: ["a"] })).toEqual({ whole: 0, keyed: 0 });
  expect(await looks({ stream: "otp" })).toEqual({ whole: 0, keyed: 1 });
});

test("a claim brings the waits of the stream, as they are now", async () => {
  await using database = await createDatabase();
  for (const stream of ["otp", "transactional", "news", undefined]) await enqueue(database, stream ? { stream } : {});
  const { queue } = await openQueue(database);
  await database.sql`update mailchute.stream set backoff = '{7,60}' where name = 'otp'`;
  // The app's own stands in for that of all, and another app's does not.
  await database.sql`
    insert into mailchute.stream (name, scope, backoff) values ('transactional', 'app:' || session_user, '{8,60}'),
      ('otp', 'app:other', '{9,60}')`;
  await database.sql`update mailchute.stream set backoff = '{10,60}' where name = 'transactional' and scope = 'all'`;
  const { messages } = await queue.claim(10);
  expect(messages.map(({ stream, backoffMs }) => [stream, backoffMs])).toEqual([
    ["otp", [7_000, 60_000]],
    ["transactional", [8_000, 60_000]],
    ["news", undefined],
    [null, undefined],
  ]);
});

test("the relay tries a mail again after the waits of its stream, and an expiry never outlasts RELAY_MAX_AGE", async () => {
  await using server = await startScriptedServer({ on: { rcpt: () => "450 4.2.0 Try again later" } });
  await using database = await createDatabase();
  const [code, plain, news] = [
    await enqueue(database, { stream: "otp" }),
    await enqueue(database),
    await enqueue(database, { stream: "bulk" }),
  ];
  // Older than the relay tries mail, and within three days.
  await database.sql`update mailchute.message set created_at = now() - interval '1 day' where id = ${news}`;
  await using running = await openTestRelay(database, { smtpPort: server.port, maxAgeMs: 3_600_000 });
  const waits = async () => {
    const rows = await database.sql`
      select m.id, round(extract(epoch from q.due - a.at))::int as wait
      from mailchute.queue q join mailchute.message m on m.seq = q.seq
      join lateral (select max(a.at) as at from mailchute.attempt a where a.seq = m.seq) a on true`;
    return Object.fromEntries(rows.map(({ id, wait }) => [id, wait]));
  };
  for (const wait of [5, 15, 30, 60, 60]) {
    await database
      .sql`update mailchute.queue q set due = now() from mailchute.message m where m.seq = q.seq and m.id = ${code}`;
    await running.relay.runOnce();
    expect(await waits()).toEqual({ [code]: wait, [plain]: 60 });
  }
  const { state, recipients } = await describeMessage(database, news);
  expect({ state, reason: recipients[0]?.reason }).toEqual({
    state: "expired",
    reason: "It is older than RELAY_MAX_AGE",
  });
});

test("the fake mailer knows the streams that the database begins with", async () => {
  await using database = await createDatabase();
  const rows = await database.sql`
    select name, lane::int, expires_after as expires, to_json(backoff) as backoff, on_uncertain as uncertain, digest from mailchute.stream`;
  const priorities = ["high", "normal", "low"] as const;
  expect(rows.map(({ name }) => name).sort()).toEqual([...STREAMS.keys()].sort());
  for (const { name, lane, expires, backoff, uncertain, digest } of rows) {
    expect({ ...STREAMS.get(name) }).toEqual({
      priority: priorities[lane as number] as "high",
      ...(expires === null ? {} : { expiresAfterMs: expires * 1_000 }),
      ...(backoff === null ? {} : { backoffMs: backoff.map((seconds: number) => seconds * 1_000) }),
      ...(uncertain === null ? {} : { onUncertain: uncertain }),
      ...(digest ? {} : { refusesDigests: true }),
    });
  }
});
