import { neon, neonConfig } from "@neondatabase/serverless";
import { expect, test } from "bun:test";
import postgres from "postgres";
import { type Connection, createMailer, type Mailer, type ManyProgress } from "../../mod.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { startNeonStandin } from "../neon_standin.ts";
import { openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { rejection, rejects } from "./cases.ts";
import { grantShop } from "./shop.ts";

const TEMPLATE = { subject: "News for {{name}}", text: "Dear {{name}}", html: "<p>Dear {{name}}</p>" } as const;
const ANN = { to: "Ann <ann@example.com>", variables: { name: "Ann" } };
const BOB = { to: "bob@example.com", variables: { name: "Bob" } };

interface Shop extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly sql: postgres.Sql;
  readonly mail: Mailer;
  /** How many rows a table has. */
  rows(table: string): Promise<number>;
}

async function openShop(): Promise<Shop> {
  const database = await createDatabase();
  const sql = postgres(await grantShop(database), { max: 2, onnotice: () => {} });
  return {
    database,
    sql,
    mail: createMailer(sql, { from: "Shop <shop@shop.example>" }),
    rows: async (table) => (await database.sql.unsafe(`select from mailchute.${table}`)).length,
    [Symbol.asyncDispose]: async () => {
      await sql.end({ timeout: 1 });
      await database[Symbol.asyncDispose]();
    },
  };
}

function* readers(count: number): Generator<{ to: string; variables: { name: string } }> {
  for (let number = 0; number < count; number++) {
    yield { to: `reader${number}@example.com`, variables: { name: `Reader ${number}` } };
  }
}

test("sendMany() stores the content once, and a mail with values of its own for each", async () => {
  await using shop = await openShop();
  const sent = await shop.mail.sendMany(
    { ...TEMPLATE, tags: ["news"], metadata: { issue: "7" }, replyTo: "help@shop.example", stream: "bulk" },
    [ANN, BOB],
  );
  expect(sent).toMatchObject({ created: 2, existing: 0, skipped: [] });
  expect([await shop.rows("content"), await shop.rows("message"), await shop.rows("queue")]).toEqual([1, 2, 2]);
  const rows = await shop.database.sql`
    select r.email, r.name, m.variables, m.tags, m.metadata, m.stream, m.lane, m.reply_to, m.from_email, q.lane as queue_lane
    from mailchute.message m join mailchute.recipient r using (seq) join mailchute.queue q using (seq) order by r.email`;
  expect(rows[0]).toEqual({
    email: "ann@example.com",
    name: "Ann",
    variables: { name: "Ann" },
    tags: ["news"],
    metadata: { issue: "7" },
    stream: "bulk",
    lane: 2,
    reply_to: [{ email: "help@shop.example" }],
    from_email: "shop@shop.example",
    queue_lane: 2,
  });
  expect(rows[1]).toMatchObject({ email: "bob@example.com", name: null, variables: { name: "Bob" } });
});

test("a bulk mail arrives merged: escaped in HTML, raw in text and subject, encoded in the unsubscribe link", async () => {
  await using shop = await openShop();
  await using server = await startScriptedServer();
  await shop.mail.sendMany({
    subject: "{{name}}, your invoice",
    text: "Dear {{name}} & co",
    html: '<p title="{{name}}">Dear {{ name }}</p>',
    headers: { "X-Customer": "{{number}}" },
    unsubscribe: "https://shop.example/u?token={{token}}",
  }, [{ to: "ann@example.com", variables: { name: `<Ann & "Co">`, number: 17, token: "a/b=" } }]);
  await using relay = await openTestRelay(shop.database, { smtpPort: server.port });
  await relay.relay.runOnce();
  const wire = String(server.mails[0]?.content).replaceAll("=\r\n", "");
  expect(wire).toContain(`Subject: <Ann & "Co">, your invoice\r\n`);
  expect(wire).toContain(`Dear <Ann & "Co"> & co`);
  expect(wire).toContain("&lt;Ann &amp; &quot;Co&quot;&gt;");
  expect(wire).not.toContain("{{");
  expect(wire).toContain("X-Customer: 17\r\n");
  expect(wire).toContain("List-Unsubscribe: <https://shop.example/u?token=a%2Fb%3D>\r\n");
});

test("a second run of the same batch adds only who is missing", async () => {
  await using shop = await openShop();
  const first = await shop.mail.sendMany(TEMPLATE, [ANN], { batch: "news/1" });
  expect(first).toEqual({ batch: "news/1", created: 1, existing: 0, skipped: [] });
  // The domain's case says nothing; a local part's might.
  const again = [{ ...ANN, to: "ann@EXAMPLE.com" }, BOB, { ...BOB, to: "Bob@example.com" }];
  expect(await shop.mail.sendMany(TEMPLATE, again, { batch: "news/1" })).toMatchObject({ created: 2, existing: 1 });
  expect(await shop.mail.sendMany(TEMPLATE, again, { batch: "news/1" })).toMatchObject({ created: 0, existing: 3 });
  expect([await shop.rows("message"), await shop.rows("content"), await shop.rows("batch")]).toEqual([3, 1, 1]);
  // Another batch, and one without a name, are others.
  expect(await shop.mail.sendMany(TEMPLATE, [ANN], { batch: "news/2" })).toMatchObject({ created: 1 });
  expect(await shop.mail.sendMany(TEMPLATE, [ANN])).toMatchObject({ created: 1 });
});

test("the same batch with another mail is a conflict", async () => {
  await using shop = await openShop();
  await shop.mail.sendMany(TEMPLATE, [ANN], { batch: "news/1" });
  const other = shop.mail.sendMany({ ...TEMPLATE, text: "Hello {{name}}" }, [BOB], { batch: "news/1" });
  expect((await rejects(other, "idempotency_conflict")).message).toContain("batch was used for another mail");
  expect(await shop.rows("message")).toBe(1);
});

test("the same address twice in one call is an error, unless each has a key", async () => {
  await using shop = await openShop();
  const twice = await rejects(shop.mail.sendMany(TEMPLATE, [ANN, BOB, ANN]), "validation_error", "recipients.2.to");
  expect(twice.issues[0]?.message).toContain("key");
  expect(await shop.rows("message")).toBe(0);
  const invoices = [{ ...ANN, key: "invoice/1" }, { ...ANN, key: "invoice/2" }];
  expect(await shop.mail.sendMany(TEMPLATE, invoices, { batch: "b" })).toMatchObject({ created: 2, existing: 0 });
  expect(await shop.mail.sendMany(TEMPLATE, invoices, { batch: "b" })).toMatchObject({ created: 0, existing: 2 });
  const skipped = await shop.mail.sendMany(TEMPLATE, [ANN, ANN, BOB], { onInvalid: "skip" });
  expect(skipped).toMatchObject({ created: 2, existing: 0, skipped: [{ index: 1 }] });
});

test("values that make a text too long in its many places are a fault of their recipient", async () => {
  await using shop = await openShop();
  const mail = { subject: "s", text: "{{a}} ".repeat(200), html: "{{a}} ".repeat(200) };
  const to = (
    a: string,
  ) => [{ to: "ann@example.com", variables: { a: "x" } }, { to: "bob@example.com", variables: { a } }];
  const error = await rejects(
    shop.mail.sendMany(mail, to("x".repeat(60_000))),
    "validation_error",
    "recipients.1.variables",
  );
  expect(error.message).toContain("merged with them, a text");
  expect(await shop.rows("message")).toBe(0);
  const skipped = await shop.mail.sendMany(mail, to("x".repeat(60_000)), { onInvalid: "skip" });
  expect(skipped).toMatchObject({ created: 1, skipped: [{ index: 1 }] });
  expect(await shop.mail.sendMany(mail, to("x".repeat(40_000)))).toMatchObject({ created: 2 });
});

test("a recipient with a fault stops all, with its place and the variable", async () => {
  await using shop = await openShop();
  const at = (recipient: object) => shop.mail.sendMany(TEMPLATE, [ANN, recipient as typeof ANN]);
  await rejects(at({ to: "nobody", variables: { name: "x" } }), "validation_error", "recipients.1.to");
  await rejects(at({ to: ["a@b.example"], variables: { name: "x" } }), "validation_error", "recipients.1.to");
  await rejects(at({ to: "a@b.example" }), "validation_error", "recipients.1.variables.name");
  await rejects(at({ to: "a@b.example", variables: {} }), "validation_error", "recipients.1.variables.name");
  await rejects(
    at({ to: "a@b.example", variables: { name: null } }),
    "validation_error",
    "recipients.1.variables.name",
  );
  await rejects(at({ to: "a@b.example", variables: { name: {} } }), "validation_error", "recipients.1.variables.name");
  await rejects(at({ to: "a@b.example", variables: { name: Number.NaN } }), "validation_error");
  // In the subject.
  await rejects(at({ to: "a@b.example", variables: { name: "x\r\nBcc: all@b.example" } }), "validation_error");
  await rejects(at({ to: "a@b.example", variables: { name: "a\0" } }), "validation_error");
  await rejects(at({ ...ANN, cc: "a@b.example" }), "validation_error", "recipients.1.cc");
  await rejects(at({ ...ANN, key: "" }), "validation_error", "recipients.1.key");
  await rejects(at(undefined as unknown as object), "validation_error", "recipients.1.to");
  expect(await shop.rows("message")).toBe(0);
});

test("with onInvalid: skip those with a fault are left out and told of, and all others keep their ids", async () => {
  await using shop = await openShop();
  await shop.database.sql`update mailchute.app set recipients = '{*@example.com}'`;
  const recipients = [{ ...ANN, to: "nobody" }, ANN, { ...BOB, to: "bob@elsewhere.example" }, BOB];
  const sent = await shop.mail.sendMany(TEMPLATE, recipients, { onInvalid: "skip" });
  expect(sent.created).toBe(2);
  expect(sent.skipped.map(({ index, issues }) => [index, issues[0]?.path])).toEqual([
    [0, "recipients.0.to"],
    [2, "recipients.2.to"],
  ]);
  const ids = await shop.database.sql`select id::text from mailchute.message order by id`;
  expect(ids.map(({ id }) => id.slice(-8))).toEqual(["00000001", "00000003"]);
});

test("a template is checked before anything is sent", async () => {
  await using shop = await openShop();
  const of = (template: object) => shop.mail.sendMany(template as typeof TEMPLATE, [ANN]);
  await rejects(of({ ...TEMPLATE, to: "a@b.example" }), "validation_error", "to");
  await rejects(of({ ...TEMPLATE, bcc: "a@b.example" }), "validation_error", "bcc");
  await rejects(of({ ...TEMPLATE, text: "{{#if name}}Dear{{/if}}" }), "validation_error", "text");
  await rejects(of({ ...TEMPLATE, headers: { "X-A": "{{a.b}}" } }), "validation_error", "headers");
  await rejects(of({ ...TEMPLATE, subject: undefined }), "validation_error", "subject");
  await rejects(of({ ...TEMPLATE, from: "boss@bank.example" }), "sender_not_allowed", "from");
  await rejects(of(undefined as unknown as object), "validation_error", "subject");
  await rejects(shop.mail.sendMany(TEMPLATE, "ann@example.com" as unknown as []), "validation_error", "recipients");
  await rejects(shop.mail.sendMany(TEMPLATE, [ANN], { batch: "" }), "validation_error", "batch");
  await rejects(shop.mail.sendMany(TEMPLATE, [ANN], { tag: "x" } as object), "validation_error", "tag");
  expect(await shop.rows("message")).toBe(0);
});

test("in a transaction all of it commits or nothing", async () => {
  await using shop = await openShop();
  const failing = shop.sql.begin(async (tx) => {
    const sent = await shop.mail.sendMany(TEMPLATE, readers(9_000), { tx, batch: "news" });
    expect(sent.created).toBe(9_000);
    throw new Error("out of paper");
  });
  expect(failing).rejects.toThrow("out of paper");
  await failing.catch(() => {});
  for (const table of ["message", "content", "batch", "recipient", "queue"]) expect(await shop.rows(table)).toBe(0);
});

test("a list of any length is read as it is needed, in parts, with progress", async () => {
  await using shop = await openShop();
  const progress: number[] = [];
  let read = 0;
  async function* list() {
    for (const reader of readers(60_000)) {
      read++;
      yield reader;
    }
  }
  const sent = await shop.mail.sendMany(TEMPLATE, list(), {
    onProgress: ({ created }) => {
      progress.push(created);
      // One part ahead of two that are under way, and no further.
      expect(read).toBeLessThan(created + 40_000);
    },
  });
  expect(sent.created).toBe(60_000);
  expect(progress.length).toBeGreaterThan(3);
  expect(progress.at(-1)).toBe(60_000);
});

test("an onProgress that returns a promise is waited for, and its error is that of the call", async () => {
  await using shop = await openShop();
  const lost = new Error("the page is gone");
  const sending = shop.mail.sendMany(TEMPLATE, [ANN], { onProgress: () => Promise.reject(lost) });
  expect(await rejection(sending)).toBe(lost);
  let noted = 0;
  const onProgress = async ({ created }: ManyProgress) => {
    await shop.rows("message");
    noted = created;
  };
  await shop.mail.sendMany(TEMPLATE, [ANN, BOB], { onProgress });
  expect(noted).toBe(2);
});

test("after the first part two are under way at a time, in a transaction one after the other", async () => {
  await using shop = await openShop();
  const counts: number[] = [];
  let underWay = 0;
  // What postgres.js has, and a transaction of it has too.
  const watched = (sql: postgres.Sql | postgres.TransactionSql, methods: object): Connection => {
    const unsafe: postgres.Sql["unsafe"] = (text, values, options) => {
      counts.push(++underWay);
      const query = sql.unsafe(text, values, options);
      query.then(() => underWay--, () => underWay--);
      return query as never;
    };
    return Object.assign(() => {}, methods, { unsafe });
  };
  const recipients = [...readers(35_000)];
  const pool = watched(shop.sql, { begin: () => {} });
  await createMailer(pool, { from: "shop@shop.example" }).sendMany(TEMPLATE, recipients, { batch: "a" });
  expect([counts[0], Math.max(...counts)]).toEqual([1, 2]);
  counts.length = 0;
  await shop.sql.begin((tx) =>
    shop.mail.sendMany(TEMPLATE, recipients, { batch: "b", tx: watched(tx, { savepoint: () => {} }) })
  );
  expect(counts.length).toBeGreaterThan(3);
  expect(Math.max(...counts)).toBe(1);
});

test("after an error no other part is begun, though all others are answered faster than the list is read", async () => {
  let parts = 0;
  const unsafe = () => {
    if (++parts === 2) return Promise.reject(Object.assign(new Error("No"), { code: "MC003" }));
    return Promise.resolve([{ batch: "b", created: 1, existing: 0, refused: "[]" }]);
  };
  // What postgres.js has.
  const pool = Object.assign(() => {}, { begin: () => {}, unsafe });
  let read = 0;
  function* list() {
    for (const reader of readers(200_000)) {
      read++;
      yield reader;
    }
  }
  const sending = createMailer(pool, { from: "shop@shop.example" }).sendMany(TEMPLATE, list(), { batch: "b" });
  const error = await rejects(sending, "recipient_not_allowed");
  expect(error.message).toContain("1 of its mails are queued already");
  expect(parts).toBe(2);
  expect(read).toBeLessThan(50_000);
});

test("an error waits for what is under way beside it, and counts it", async () => {
  await using shop = await openShop();
  // Once in the second part, and once in the third or fourth.
  function* list() {
    yield* readers(20_000);
    yield { to: "reader10000@example.com", variables: { name: "again" } };
    yield* Array.from({ length: 20_000 }, (_, number) => ({ ...ANN, to: `other${number}@example.com` }));
  }
  const error = await rejects(shop.mail.sendMany(TEMPLATE, list(), { batch: "b" }), "validation_error");
  expect(error.message).toContain("is there twice");
  const queued = await shop.rows("message");
  expect(error.message).toContain(`${queued} of its mails are queued already`);
  // Nothing comes after it.
  expect(
    await shop
      .sql`select from pg_stat_activity where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()`,
  )
    .toHaveLength(0);
});

test("after an error in the middle the same call with the same batch adds the rest, and the error says so", async () => {
  await using shop = await openShop();
  function* list(isBroken: boolean) {
    yield* readers(20_000);
    if (isBroken) yield { to: "nobody", variables: { name: "x" } };
    yield BOB;
  }
  const error = await rejects(shop.mail.sendMany(TEMPLATE, list(true), { batch: "b" }), "validation_error");
  expect(error.issues[0]?.path).toBe("recipients.20000.to");
  const queued = await shop.rows("message");
  expect(queued).toBeGreaterThan(0);
  expect(error.message).toContain(`${queued} of its mails are queued already`);
  const sent = await shop.mail.sendMany(TEMPLATE, list(false), { batch: "b" });
  expect([sent.created, sent.existing]).toEqual([20_001 - queued, queued]);
});

test("an error of the list itself goes through as it is", async () => {
  await using shop = await openShop();
  function* list() {
    yield ANN;
    throw new TypeError("the file ends here");
  }
  expect(shop.mail.sendMany(TEMPLATE, list())).rejects.toThrow(TypeError);
});

test("suppressed recipients get no mail, and are on record as suppressed", async () => {
  await using shop = await openShop();
  await shop.mail.suppressions.add("Ann@example.com", "unsubscribe");
  expect(await shop.mail.sendMany(TEMPLATE, [ANN, BOB], { batch: "b" })).toMatchObject({ created: 2 });
  expect(await shop.rows("queue")).toBe(1);
  expect((await shop.mail.get({ batch: "b" }))?.states).toEqual({ suppressed: 1, queued: 1 });
});

test("a full queue refuses a bulk send that would add to it, and not one that adds nothing", async () => {
  await using shop = await openShop();
  await shop.mail.sendMany(TEMPLATE, [ANN], { batch: "b" });
  await shop.database.sql`
    insert into mailchute.relay (instance, host, pid, version, full_until)
    values (gen_random_uuid(), 'h', 1, '0', now() + interval '1 minute')`;
  await rejects(shop.mail.sendMany(TEMPLATE, [ANN, BOB], { batch: "b" }), "queue_full");
  expect(await shop.mail.sendMany(TEMPLATE, [ANN], { batch: "b" })).toMatchObject({ created: 0, existing: 1 });
});

test("over Neon HTTP parts stay below its limit, and a content that is too large says so", async () => {
  await using shop = await openShop();
  await using standin = await startNeonStandin(shop.database.url);
  standin.configure(neonConfig);
  const mail = createMailer(neon(await grantUrl(shop)), { from: "Shop <shop@shop.example>" });
  const attachments = [{ filename: "a.bin", content: new Uint8Array(5_000_000) }];
  const sent = await mail.sendMany({ ...TEMPLATE, attachments }, readers(20_000), { batch: "b" });
  expect(sent.created).toBe(20_000);
  expect(await shop.rows("content")).toBe(1);
  const large = [{ filename: "a.bin", content: new Uint8Array(8_000_000) }];
  await rejects(mail.sendMany({ ...TEMPLATE, attachments: large }, [ANN]), "too_large");
});

test("plain SQL is checked as the client is", async () => {
  await using shop = await openShop();
  const id = "017f22e2-79b0-7cc3-98c4-dc0c00000000";
  const mail = { from: { email: "a@shop.example" }, subject: "Hi {{name}}", text: "{{name}} {{code}}" };
  const ask = async (request: object) => {
    try {
      await shop.sql.unsafe("select mailchute.enqueue_many_v1($1::text::jsonb)", [JSON.stringify(request)]);
      return "accepted";
    } catch (error) {
      const { code, detail } = error as { readonly code: string; readonly detail?: string };
      return `${code} ${JSON.parse(detail ?? "[]")[0]?.path}`;
    }
  };
  const good = ["a@b.example", null, null, { name: "A", code: "1" }];
  expect(await ask({ id: "x", mail, recipients: [good] })).toBe("MC001 id");
  expect(await ask({ id, recipients: [good] })).toBe("MC001 mail");
  expect(await ask({ id, mail: { ...mail, to: [] }, recipients: [good] })).toBe("MC001 to");
  expect(await ask({ id, mail: { ...mail, text: "{{a.b}}" }, recipients: [good] })).toBe("MC001 text");
  expect(await ask({ id, mail: { ...mail, colour: 1 }, recipients: [good] })).toBe("MC001 colour");
  expect(await ask({ id, mail: { ...mail, from: { email: "x@bank.example" } }, recipients: [good] })).toBe(
    "MC002 from",
  );
  expect(await ask({ id, mail, batch: "a\nb", recipients: [good] })).toBe("MC001 batch");
  expect(await ask({ id, mail, recipients: {} })).toBe("MC001 recipients");
  expect(await ask({ id, mail, first: -1, recipients: [good] })).toBe("MC001 first");
  const bad: readonly (readonly [path: string, entry: unknown])[] = [
    ["recipients.0", "a@b.example"],
    ["recipients.0.to", [7, null, null, { name: "A", code: "1" }]],
    ["recipients.0.to", ["a@b@c.example", null, null, { name: "A", code: "1" }]],
    ["recipients.0.to", ["a@b.example", "A\nB", null, { name: "A", code: "1" }]],
    ["recipients.0.key", ["a@b.example", null, "", { name: "A", code: "1" }]],
    ["recipients.0.variables.code", ["a@b.example", null, null, { name: "A" }]],
    ["recipients.0.variables.name", ["a@b.example", null, null, { name: "A\r\nBcc: x@y.example", code: "1" }]],
    ["recipients.0.variables.name", ["a@b.example", null, null, { name: "A\u007f", code: "1" }]],
    ["recipients.0.variables", ["a@b.example", null, null, { name: 7, code: "1" }]],
    ["recipients.0.variables", ["a@b.example", null, null, ["name", "code"]]],
    ["recipients.0.variables.code", ["a@b.example", null, null, null]],
    ["recipients.0.variables", ["a@b.example", null, null, { name: "A", code: "x".repeat(70_000) }]],
  ];
  for (const [path, entry] of bad) {
    expect([path, await ask({ id, mail, recipients: [entry] })]).toEqual([path, `MC001 ${path}`]);
  }
  expect(await shop.rows("message")).toBe(0);
  // A line break is no fault in a text.
  expect(await ask({ id, mail, recipients: [["a@b.example", null, null, { name: "A", code: "1\n2" }]] })).toBe(
    "accepted",
  );
  // The same request again, and a part without the mail.
  expect(await ask({ id, mail, recipients: [["a@b.example", null, null, { name: "A", code: "1\n2" }]] })).toBe(
    "accepted",
  );
  expect(
    await ask({
      id,
      first: 1,
      recipients: [null, ["b@b.example", ...good.slice(1)], ["c@d.example", "C", "k", { name: "C", code: "" }]],
    }),
  )
    .toBe(
      "accepted",
    );
  expect(await shop.rows("message")).toBe(3);
});

test("a part is written in the order of its keys, so that two with the same people wait for each other and never in a ring", async () => {
  await using shop = await openShop();
  const people = ["m", "z", "a", "M", "é", "b"].map((to) => ({ to: `${to}@example.com`, variables: { name: to } }));
  await shop.mail.sendMany(TEMPLATE, people);
  const rows = await shop.database.sql`select batch_key as key from mailchute.message order by seq`;
  const keys = rows.map(({ key }) => key as string);
  expect(keys).toEqual(
    people.map(({ to }) => to).sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))),
  );
});

test("two bulk sends of the same batch at once give nobody two mails", async () => {
  await using shop = await openShop();
  const backwards = [...readers(6_000)].reverse();
  const results = await Promise.all([
    shop.mail.sendMany(TEMPLATE, readers(6_000), { batch: "b" }),
    shop.mail.sendMany(TEMPLATE, backwards, { batch: "b" }),
  ]);
  expect(results[0].created + results[1].created).toBe(6_000);
  expect(await shop.rows("queue")).toBe(6_000);
});

test("another app's batch of the same name is another batch", async () => {
  await using shop = await openShop();
  await shop.mail.sendMany(TEMPLATE, [ANN], { batch: "b" });
  const other = createMailer(shop.database.sql, { from: "a@other.example" });
  expect(await other.get({ batch: "b" })).toBeUndefined();
  expect(await other.cancel({ batch: "b" })).toBe(0);
  expect(await other.sendMany(TEMPLATE, [ANN], { batch: "b" })).toMatchObject({ created: 1 });
});

test("get() tells how far a batch is, by name or by the id of one without a name", async () => {
  await using shop = await openShop();
  await using server = await startScriptedServer();
  const { batch } = await shop.mail.sendMany(TEMPLATE, [ANN, BOB]);
  expect(await shop.mail.get({ batch })).toMatchObject({ batch, total: 2, states: { queued: 2 } });
  await using relay = await openTestRelay(shop.database, { smtpPort: server.port });
  await relay.relay.runOnce();
  const status = await shop.mail.get({ batch });
  expect(status).toMatchObject({ total: 2, states: { sent: 2 } });
  expect(status?.createdAt).toBeInstanceOf(Date);
  const [row] = await shop.database.sql`select id::text from mailchute.message limit 1`;
  expect((await shop.mail.get(row?.id))?.batch).toBe(batch);
  expect(await shop.mail.get({ batch: "unknown" })).toBeUndefined();
});

test("cancel() takes back a batch, or a tag, but what is being sent or final", async () => {
  await using shop = await openShop();
  await shop.mail.sendMany({ ...TEMPLATE, tags: ["a", "b"] }, readers(5), { batch: "news" });
  const { id } = await shop.mail.send({ to: "c@d.example", subject: "s", text: "t", tags: ["b"] });
  await shop.database.sql`
    update mailchute.queue set leased_by = 1, due = now() + interval '1 hour' where seq = (select min(seq) from mailchute.queue)`;
  expect(await shop.mail.cancel({ batch: "news" })).toBe(4);
  expect(await shop.mail.cancel({ batch: "news" })).toBe(0);
  expect((await shop.mail.get({ batch: "news" }))?.states).toEqual({ sending: 1, canceled: 4 });
  expect(await shop.mail.cancel({ tag: "nothing" })).toBe(0);
  expect(await shop.mail.cancel({ tag: "b" })).toBe(1);
  expect((await shop.mail.get(id))?.state).toBe("canceled");
  await rejects(shop.mail.cancel({} as { batch: string }), "validation_error");
  await rejects(shop.mail.cancel({ batch: "a", tag: "b" }), "validation_error");
});

async function grantUrl(shop: Shop): Promise<string> {
  return await shop.database.as("shop_app");
}
