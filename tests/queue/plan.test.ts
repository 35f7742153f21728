import { expect, test } from "bun:test";
import { WAITING } from "../../relay/doctor/queue.ts";
import { RELEASE, RENEW, SETTLE, SETTLE_BOUNCES, SETTLE_PART } from "../../relay/queue/lease_statements.ts";
import {
  CLAIM,
  CLAIM_PROBE,
  CLAIM_WAITING,
  NEXT_DUE,
  SET_ALONE,
  THROTTLES,
  UNTHROTTLE,
} from "../../relay/queue/queue_statements.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { accessOf, explain, explainInside, planningConnection } from "./plan.ts";

const PAIRS = `'{"1": {"lease": 1, "attempt": 1, "delay": 0}}'`;
const SETTLEMENTS =
  `'{"1": {"lease": 1, "ends": true, "attempts": 1, "delay": null, "crashes": 0, "throttle": null, "recipients": {}}}'`;

/** One lane from its first entry, two behind a floor. */
const LANES =
  `'[{"lane": 2, "most": 6, "due": "-infinity", "seq": "0"}, {"lane": 0, "most": 100, "due": "2026-01-01 12:00:00.123456+00", "seq": "7"},
  {"lane": 1, "most": 100, "due": "2026-01-01T12:00:00.000Z", "seq": "0"}]'`;

/** A queue of some thousand rows, without statistics yet. Written past enqueue, which would take a second. */
async function filled(): Promise<TestDatabase> {
  const database = await createDatabase();
  await database.sql.begin(async (tx) => {
    await tx`
      insert into mailchute.message (id, app, content_id, from_email, lane)
      select gen_random_uuid(), session_user, gen_random_uuid(), 'shop@example.com', i % 3 from generate_series(1, 4000) i`;
    await tx`insert into mailchute.recipient (seq, position, kind, email) select seq, 0, 'to', 'u' || seq || '@example.com' from mailchute.message`;
    await tx`
      insert into mailchute.queue (seq, lane, due, throttle)
      select seq, lane, now(), case seq % 2 when 0 then 'domain:d' || seq % 7 || '.example=60/m' end from mailchute.message`;
    // Items that are in a digest, as most are: two in each, and it goes out as the second.
    await tx`
      insert into mailchute.digest_item (seq, app, address, key, wait, max_items, digest)
      select seq, 'a', 'u' || seq || '@example.com', 'k', '1h', 50, seq + seq % 2 from mailchute.message`;
    await tx`
      insert into mailchute.digest (seq, app, address, key, items, closed_at)
      select seq, 'a', 'u' || seq || '@example.com', 'k', 2, now() from mailchute.message`;
    await tx`
      insert into mailchute.attempt (seq, number, position, outcome, phase, blame, reply, route, relay)
      select seq, 1, 0, 'deferred', 'final', 'route', 'later', 'default', 1 from mailchute.message`;
  });
  return database;
}

const GUARDS:
  readonly (readonly [name: string, statement: string, values: readonly string[], indexes: readonly string[]])[] = [
    ["CLAIM", CLAIM, ["1", "120000", "100", "true", LANES], [
      "batch_pkey",
      "message_pkey",
      "queue_due",
      "queue_pkey",
      "recipient_pkey",
      "relay_pkey",
      "stream_pkey",
      "suppression_pkey",
    ]],
    ["CLAIM_PROBE", CLAIM_PROBE, ["1", "120000", "1", "true"], [
      "batch_pkey",
      "message_pkey",
      "queue_due",
      "queue_pkey",
      "recipient_pkey",
      "relay_pkey",
      "stream_pkey",
      "suppression_pkey",
    ]],
    [
      "CLAIM_WAITING",
      CLAIM_WAITING,
      ["1", "120000", `'{"domain:d1.example=60/m": 5}'`],
      [
        "batch_pkey",
        "message_pkey",
        "queue_pkey",
        "queue_throttle",
        "recipient_pkey",
        "relay_pkey",
        "stream_pkey",
        "suppression_pkey",
      ],
    ],
    ["THROTTLES", THROTTLES, ["100", "''"], ["queue_throttle"]],
    ["UNTHROTTLE", UNTHROTTLE, [`'["domain:d1.example=60/m"]'`, "5000"], ["queue_pkey", "queue_throttle"]],
    ["SETTLE", SETTLE, ["1", SETTLEMENTS, "'[]'"], ["attempt_pkey", "queue_pkey", "recipient_pkey"]],
    ["SETTLE_PART", SETTLE_PART, ["1", SETTLEMENTS, "'[]'"], ["attempt_pkey", "queue_pkey", "recipient_pkey"]],
    [
      "SETTLE_BOUNCES",
      SETTLE_BOUNCES,
      ["1", SETTLEMENTS, "'[]'", `'[{"seq": 1, "position": 0, "kind": "soft"}]'`, `'{"after": 5, "within": 1000}'`],
      ["attempt_pkey", "bounce_address", "bounce_pkey", "message_pkey", "queue_pkey", "recipient_pkey"],
    ],
    ["RELEASE", RELEASE, ["1", PAIRS], ["queue_pkey"]],
    ["SET_ALONE", SET_ALONE, ["1", "1", "1", "true"], ["queue_pkey"]],
    ["RENEW", RENEW, ["1", PAIRS, "120000"], ["queue_pkey"]],
    ["NEXT_DUE", NEXT_DUE, ["null", "null"], ["digest_item_look", "queue_due"]],
    ["NEXT_DUE since a claim", NEXT_DUE, ["250", "5000"], ["digest_item_look", "queue_due"]],
    ["WAITING of doctor", WAITING, [], ["digest_item_pkey", "queue_due"]],
  ];

for (const [name, statement, values, indexes] of GUARDS) {
  test(`${name} enters its tables at a key, with a generic plan, with and without statistics`, async () => {
    await using database = await filled();
    await using sql = planningConnection(database);
    expect(await explain(sql, statement, values)).toEqual({ indexes, wholeTables: [] });
    await database.sql`analyze mailchute.queue, mailchute.message, mailchute.recipient, mailchute.attempt`;
    expect(await explain(sql, statement, values)).toEqual({ indexes, wholeTables: [] });
  });
}

test("the guards see what they guard against: a sequential scan, and an index that is read as a whole", async () => {
  await using database = await filled();
  await using sql = planningConnection(database);
  await database.sql`analyze mailchute.queue, mailchute.message`;
  // No index fits: the scan is taken although it is switched off.
  expect((await explain(sql, "select seq from mailchute.queue where attempts = $1::int", ["0"])).wholeTables)
    .toEqual(["queue"]);
  const ordered = await explain(sql, "select seq, due from mailchute.queue order by lane, due, seq", []);
  expect(ordered.wholeTables).toEqual(["queue through queue_due"]);
  expect(accessOf({ "Node Type": "Seq Scan", "Relation Name": "queue" })).toEqual({
    indexes: [],
    wholeTables: ["queue"],
  });
});

/** Statements of people and apps, and the indexes that their lookups inside the functions must be seen to use. */
const CALLS: readonly (readonly [name: string, statement: string, indexes: readonly string[]])[] = [
  [
    "enqueue_v1",
    `select mailchute.send('{"from": "a@example.com", "to": ["b@example.com", "c@example.com"], "cc": "d@example.com", "subject": "Hi",
      "text": "Hi", "idempotencyKey": "one"}');
    select mailchute.send('{"from": "a@example.com", "to": ["b@example.com", "c@example.com"], "cc": "d@example.com", "subject": "Hi",
      "text": "Hi", "idempotencyKey": "one"}')`,
    ["message_idempotency_key", "suppression_pkey"],
  ],
  [
    "status_v1",
    "select mailchute.status_v1((select id from mailchute.message where seq = 2000))",
    ["attempt_pkey", "message_id", "message_pkey", "queue_pkey", "recipient_pkey"],
  ],
  [
    "cancel_v1",
    "select mailchute.cancel_v1((select id from mailchute.message where seq = 2001))",
    ["message_id", "queue_pkey", "recipient_pkey"],
  ],
  [
    "reschedule_v1",
    "select mailchute.reschedule_v1((select id from mailchute.message where seq = 2002), now() + interval '1 day')",
    ["message_id", "message_pkey", "queue_pkey"],
  ],
  [
    "enqueue_v1 of an item",
    `select mailchute.send('{"from": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hi", "digest": {"key": "k", "wait": "1h"}}')`,
    ["digest_item_group", "suppression_pkey"],
  ],
  [
    "close_digests",
    `select mailchute.send('{"from": "a@example.com", "to": "b@example.com", "subject": "Hi", "text": "Hi", "digest": {"key": "k", "wait": "1h"}}')
      from generate_series(1, 3);
    select mailchute.close_digests(100, now() + interval '2 hours');
    select mailchute.status_v1((select id from mailchute.message where seq = 4001))`,
    [
      "content_pkey",
      "digest_closed",
      "digest_item_group",
      "digest_item_look",
      "digest_item_pkey",
      "message_pkey",
      "queue_pkey",
      "recipient_pkey",
      "suppression_pkey",
    ],
  ],
  [
    "retry_message",
    "select mailchute.retry_message(2003, false)",
    ["attempt_pkey", "message_pkey", "queue_pkey", "recipient_pkey"],
  ],
  [
    "settle_as_sent",
    "update mailchute.attempt set outcome = 'uncertain' where seq = 2004; select mailchute.settle_as_sent(2004, null)",
    ["attempt_pkey", "digest_item_pkey", "message_pkey", "queue_pkey", "recipient_pkey"],
  ],
];

/** Tables with a handful of rows: any way to read them is fine. */
const SMALL = ["relay", "app", "app_role", "pg_namespace", "pg_authid"];

for (const [name, statement, indexes] of CALLS) {
  test(`${name} looks everything up by a key`, async () => {
    await using database = await filled();
    await database
      .sql`insert into mailchute.suppression (address, reason) select 's' || i || '@example.com', 'bounce' from generate_series(1, 2000) i`;
    await database.sql`analyze`;
    const inside = await explainInside(database, statement);
    expect(inside.length).toBeGreaterThan(1);
    const whole = inside.flatMap(({ text, wholeTables }) =>
      wholeTables.filter((table) => !SMALL.includes(table.split(" ")[0] as string)).map((table) => `${table}: ${text}`)
    );
    expect(whole).toEqual([]);
    expect([...new Set(inside.flatMap((each) => each.indexes))]).toEqual(expect.arrayContaining([...indexes]));
  });
}
