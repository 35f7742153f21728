import { expect, test } from "bun:test";
import type postgres from "postgres";
import { createMailer, type MessageInput } from "../../mod.ts";
import { parseAddress } from "../../src/address.ts";
import { headerProblem } from "../../src/mime/header.ts";
import { createDatabase } from "../database.ts";

// Not every caller is our client: a trigger in plain SQL, psql, another language. What the client refuses, SQL refuses
// too.

type Request = Readonly<Record<string, unknown>>;

const ID = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
const REQUEST = { id: ID, from: { email: "a@b.example" }, to: [{ email: "c@d.example" }], subject: "s", text: "t" };
const FILE = { filename: "a", contentType: "text/plain", base64: "aGk=" };

/** Asks, and returns the SQLSTATE and the paths of the issues. */
async function asked(sql: postgres.Sql, text: string, request: unknown): Promise<readonly string[]> {
  try {
    await sql.unsafe(text, [JSON.stringify(request)]);
    return [];
  } catch (error) {
    const { code, detail } = error as { readonly code: string; readonly detail?: string };
    if (code !== "MC001") return [code];
    return [code, ...JSON.parse(detail ?? "[]").map((issue: { readonly path: string }) => issue.path)];
  }
}

const ENQUEUE = "select mailchute.enqueue_v1($1::text::jsonb)";
const SEND = "select mailchute.send($1::text::jsonb)";

/** Every field that holds a text, with a text put into it, and the path of the issue. */
const TEXT_FIELDS: readonly (readonly [path: string, request: (text: string) => Request])[] = [
  ["from", (text) => ({ from: { email: text } })],
  ["from.name", (text) => ({ from: { ...REQUEST.from, name: text } })],
  ["to.0", (text) => ({ to: [{ email: text }] })],
  ["to.1.name", (text) => ({ to: [...REQUEST.to, { email: "e@f.example", name: text }] })],
  ["cc.0", (text) => ({ cc: [{ email: text }] })],
  ["bcc.0", (text) => ({ bcc: [{ email: text }] })],
  ["replyTo.0", (text) => ({ replyTo: [{ email: text }] })],
  ["returnPath", (text) => ({ returnPath: text })],
  ["subject", (text) => ({ subject: text })],
  ["headers.0", (text) => ({ headers: [["X-A", text]] })],
  ["headers.0", (text) => ({ headers: [[text, "value"]] })],
  ["attachments.0.filename", (text) => ({ attachments: [{ ...FILE, filename: text }] })],
  ["attachments.0.contentType", (text) => ({ attachments: [{ ...FILE, contentType: text }] })],
  ["attachments.0.contentId", (text) => ({ attachments: [{ ...FILE, contentId: text }] })],
  ["tags", (text) => ({ tags: [text] })],
  ["metadata", (text) => ({ metadata: { order: text } })],
  ["metadata", (text) => ({ metadata: { [text]: "value" } })],
  ["idempotencyKey", (text) => ({ idempotencyKey: text })],
  ["priority", (text) => ({ priority: text })],
  ["scheduledAt", (text) => ({ scheduledAt: text })],
  ["expiresAt", (text) => ({ expiresAt: text })],
  ["onUncertain", (text) => ({ onUncertain: text })],
  ["stream", (text) => ({ stream: text })],
  ["unsubscribe", (text) => ({ unsubscribe: text })],
];

test("no control character passes in any field, and none is stored", async () => {
  await using db = await createDatabase();
  for (const [path, request] of TEXT_FIELDS) {
    for (const code of [...Array(31).keys(), 126].map((index) => index + 1)) {
      const text = `e${String.fromCharCode(code)}@f.example`;
      const [state, ...paths] = await asked(db.sql, ENQUEUE, { ...REQUEST, ...request(text) });
      expect([path, code, state]).toEqual([path, code, "MC001"]);
      expect(paths).toContain(path);
    }
    // Postgres has no NUL in any text: the cast to jsonb refuses it.
    expect(await asked(db.sql, ENQUEUE, { ...REQUEST, ...request("e\0@f.example") })).toEqual(["22P05"]);
  }
  expect((await db.sql`select from mailchute.message`).length).toBe(0);
});

const BAD: Readonly<Record<string, readonly [request: Request, path: string]>> = {
  "no subject": [{ subject: null }, "subject"],
  "no text and no html": [{ text: null }, "text"],
  "no recipients": [{ to: [] }, "to"],
  "no from": [{ from: null }, "from"],
  "an unknown field": [{ digests: { key: "k" } }, "digests"],
  "a field of a later version": [{ batch: "news" }, "batch"],
  "an empty stream": [{ stream: "" }, "stream"],
  "a stream in capitals": [{ stream: "Bulk" }, "stream"],
  "a stream that begins with a hyphen": [{ stream: "-bulk" }, "stream"],
  "a stream with a comma": [{ stream: "a,b" }, "stream"],
  "a stream of 64 characters": [{ stream: "s".repeat(64) }, "stream"],
  "a stream that is no string": [{ stream: 7 }, "stream"],
  "a subject that is no string": [{ subject: 7 }, "subject"],
  "a tag that is no string": [{ tags: [7] }, "tags"],
  "an empty tag": [{ tags: [""] }, "tags"],
  "metadata that are no strings": [{ metadata: { order: 7 } }, "metadata"],
  "metadata that are a list": [{ metadata: ["a"] }, "metadata"],
  "a header with a bare name": [{ headers: [["X-A"]] }, "headers.0"],
  "a header whose value is no string": [{ headers: [["X-A", 7]] }, "headers.0"],
  "a folded header": [{ headers: [["X-A", "a\r\n b"]] }, "headers.0"],
  "a Bcc header": [{ headers: [["bcc", "eve@evil.example"]] }, "headers.0"],
  "two References": [{ headers: [["References", "<a@b>"], ["REFERENCES", "<c@d>"]] }, "headers"],
  "List-Unsubscribe beside unsubscribe": [
    { headers: [["list-unsubscribe", "<https://a.example>"]], unsubscribe: "https://b.example" },
    "unsubscribe",
  ],
  "two Senders": [{ headers: [["Sender", "a@b.example"], ["sender", "a@b.example"]] }, "headers.Sender"],
  "a Sender of two addresses": [{ headers: [["Sender", "a@b.example, c@d.example"]] }, "headers.Sender"],
  "base64 that is none": [{ attachments: [{ ...FILE, base64: "%%%%" }] }, "attachments"],
  "an attachment without content": [{ attachments: [{ ...FILE, base64: null }] }, "attachments.0.content"],
  "a content type with a broken parameter": [
    { attachments: [{ ...FILE, contentType: 'text/plain; name="a' }] },
    "attachments.0.contentType",
  ],
  "a content id in brackets": [{ attachments: [{ ...FILE, contentId: "<a>" }] }, "attachments.0.contentId"],
  "the 30th of February": [{ scheduledAt: "2026-02-30T00:00:00Z" }, "scheduledAt"],
  "a month 13": [{ scheduledAt: "2026-13-01T00:00:00Z" }, "scheduledAt"],
  "a zone of 99 hours": [{ expiresAt: "2030-01-01T00:00:00+99:00" }, "expiresAt"],
  "a time without a zone": [{ scheduledAt: "2030-01-01T00:00:00" }, "scheduledAt"],
  "an expiry before the schedule": [
    { scheduledAt: "2030-01-02T00:00:00Z", expiresAt: "2030-01-01T00:00:00Z" },
    "expiresAt",
  ],
  "an expiry at its time": [{ scheduledAt: "2030-01-02T00:00:00Z", expiresAt: "2030-01-02T00:00:00Z" }, "expiresAt"],
  "an expiry in the past": [{ expiresAt: "2020-01-01T00:00:00Z" }, "expiresAt"],
  "an http: unsubscribe": [{ unsubscribe: "http://b.example" }, "unsubscribe"],
  "an unsubscribe that closes its bracket": [{ unsubscribe: "https://b.example>\u003cmailto:x" }, "unsubscribe"],
};

for (const [what, [request, path]] of Object.entries(BAD)) {
  test(`${what} is refused by enqueue_v1 and by send`, async () => {
    await using db = await createDatabase();
    expect(await asked(db.sql, ENQUEUE, { ...REQUEST, ...request })).toEqual(["MC001", path]);
    const { id: _, ...withoutId } = REQUEST;
    expect(await asked(db.sql, SEND, { ...withoutId, ...request })).toEqual(["MC001", path]);
    expect((await db.sql`select from mailchute.message`).length).toBe(0);
  });
}

test("what is no object is refused", async () => {
  await using db = await createDatabase();
  for (const call of [ENQUEUE, SEND]) {
    for (const request of [[], "text", 7, true, null]) expect((await asked(db.sql, call, request))[0]).toBe("MC001");
  }
  for (const id of [null, "", "42", 7, `${ID}\n`]) {
    expect((await asked(db.sql, ENQUEUE, { ...REQUEST, id }))[0]).toBe("MC001");
  }
});

test("a request that a driver has quoted once more is refused with what to write", async () => {
  await using db = await createDatabase();
  const request = JSON.stringify({ ...REQUEST, from: "a@b.example", to: "c@d.example" });
  const error = await db.sql`select mailchute.send(${request}::jsonb)`.then(() => undefined, (error) => error as Error);
  expect(error?.message).toMatch(
    /^Cannot enqueue the mail: must be a JSON object, and is a string: .*write ::text::jsonb$/,
  );
  expect(await db.sql`select mailchute.send(${request}::text::jsonb)`).toHaveLength(1);
});

const ADDRESSES = [
  "plain",
  "@example.com",
  "a@",
  "a b@c.example",
  "a..b@c.example",
  ".a@c.example",
  "a.@c.example",
  "a@c..example",
  "a@.example",
  "a@example.",
  "a@-c.example",
  "a@c-.example",
  "a@192.0.2.1",
  "a@example.0x7f",
  "a@b@c.example",
  "a@c.example, d@e.example",
  "a@c.example;d@e.example",
  "Ann <a@c.example>",
  "<a@c.example>",
  "a@[300",
  "a@[]",
  "(x)a@c.example",
  '"a"b@c.example',
  '"a\\"@c.example',
  '"a@c.example"@evil.example',
  '"a@shop.example.com"@evil.example',
  "a\u200b@c.example",
  "a\u202e@c.example",
  "a@c\u00ad.example",
  "a@c.example\u2028",
  `${"a".repeat(65)}@c.example`,
  `a@${"b".repeat(64)}.example`,
];

for (const email of ADDRESSES) {
  test(`${JSON.stringify(email)} as an address object is refused by the client and by SQL`, async () => {
    expect(parseAddress({ email }).ok && parseAddress({ email })).toBe(false);
    await using db = await createDatabase();
    expect(await asked(db.sql, ENQUEUE, { ...REQUEST, to: [{ email }] })).toEqual(["MC001", "to.0"]);
    expect(await asked(db.sql, ENQUEUE, { ...REQUEST, from: { email } })).toEqual(["MC001", "from"]);
    expect(await asked(db.sql, ENQUEUE, { ...REQUEST, returnPath: email })).toEqual(["MC001", "returnPath"]);
  });
}

test("a domain that is not in ASCII is refused by SQL, which knows no other spelling of it, with what to write", async () => {
  await using db = await createDatabase();
  const email = "ann@münchen.example";
  for (const request of [{ to: [{ email }] }, { from: { email } }, { returnPath: email }]) {
    const failing = db.sql.unsafe(ENQUEUE, [JSON.stringify({ ...REQUEST, ...request })]);
    expect(await failing.then(() => "taken", ({ message }) => message as string)).toContain("must be in ASCII (xn--…)");
  }
  const mail = createMailer(db.sql, { from: "a@b.example" });
  await mail.suppressions.add(email, "unsubscribe");
  const { id } = await mail.send({ to: email, subject: "s", text: "t" });
  expect((await mail.get(id))?.state).toBe("suppressed");
});

const MAILBOXES = [
  "ann@example.com",
  " ann@example.com ",
  "Ann <ann@example.com>",
  "<ann@example.com>",
  "Ann B. O'Neill <ann@example.com>",
  '"Doe, Jane" <jane@example.com>',
  '"O\\"B \\\\ C" <ann@example.com>',
  '"" <ann@example.com>',
  "Jörg 👩‍👩‍👧 <joerg@example.com>",
  "Ann <ann@example.com>, Bob <bob@example.com>",
  "ann@example.com, Bob <bob@example.com>",
  "ann@example.com, bob@example.com",
  "Ann <a@x.example>; Bob <b@x.example>",
  "x <evil@y.example> <ok@example.com>",
  "Doe, Jane <jane@example.com>",
  "Ann (HR) <ann@example.com>",
  'Ann "the" B <ann@example.com>',
  "Ann <ann@example.com> x",
  "Ann <>",
  "ann@example.com>",
];

test("mailchute.send reads an address as people write it just as the client does, or refuses it", async () => {
  await using db = await createDatabase();
  for (const text of MAILBOXES) {
    const result = parseAddress(text);
    const mailbox = result.ok ? { email: result.mailbox.email, name: result.mailbox.name ?? null } : "MC001";
    const request = JSON.stringify({ from: "a@b.example", to: text, replyTo: text, subject: "s", text: "t" });
    const sent = db.sql`select mailchute.send(${request}::text::jsonb) as id`;
    const id = await sent.then(([row]) => row?.id as string, ({ code }) => code as string);
    const [read] = id === "MC001" ? [id] : await db.sql`
      select r.email, nullif(r.name, '') as name from mailchute.message m join mailchute.recipient r using (seq) where m.id = ${id}`;
    expect([text, read]).toEqual([text, mailbox]);
  }
});

test("what the client takes as an address, SQL takes too", async () => {
  await using db = await createDatabase();
  const addresses = [
    "a@b",
    "ann+tag@example.com",
    "o'neill!#$%&*+/=?^_`{|}~-@example.com",
    '"a b"@example.com',
    "jörg@münchen.example",
    "用户@例え.テスト",
    "a@[192.0.2.1]",
    "a@[IPv6:2001:db8::1]",
    "a@xn--mnchen-3ya.example",
    "a_b@c_d.example",
    `${"a".repeat(64)}@${"b".repeat(63)}.example`,
    "a.-b-@c-d.example",
  ];
  const mail = createMailer(db.sql, { from: "a@b.example" });
  await mail.send({ to: addresses, subject: "s", text: "t" });
  expect((await db.sql`select from mailchute.recipient`).length).toBe(addresses.length);
});

test("every header that the composer refuses, SQL refuses too", async () => {
  await using db = await createDatabase();
  const names = [
    "From",
    "to",
    "CC",
    "bcc",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Return-Path",
    "Received",
  ];
  const families = ["Content-Type", "content-x", "Resent-From", "DKIM-Signature", "ARC-Seal", "Authentication-Results"];
  const noNames = ["", "X:A", "X A", "Ä", "x".repeat(77)];
  for (const name of [...names, ...families, "Received-SPF", "List-Unsubscribe-Post", ...noNames]) {
    expect(headerProblem(name, "value")).toBeString();
    expect(await asked(db.sql, ENQUEUE, { ...REQUEST, headers: [[name, "value"]] })).toEqual(["MC001", "headers.0"]);
  }
  for (const name of ["X-A", "In-Reply-To", "List-Unsubscribe", "Received2", "Arc", "Mime", "x".repeat(76)]) {
    expect(headerProblem(name, "value")).toBeUndefined();
    expect(await asked(db.sql, ENQUEUE, { ...REQUEST, headers: [[name, "value"]], id: crypto.randomUUID() })).toEqual(
      [],
    );
  }
});

test("all that the client can send is taken, and stored as it was sent", async () => {
  await using db = await createDatabase();
  const message = {
    from: { email: "a@b.example", name: 'Zoë, "the" 1st' },
    to: ["Ann <ann@d.example>", "bob@d.example"],
    cc: "cc@d.example",
    bcc: ["bcc@d.example"],
    replyTo: "help@b.example",
    returnPath: "bounces@b.example",
    subject: "Grüße",
    text: "t",
    html: "<p>",
    headers: [["X-A", "1"], ["X-A", "2"], ["Sender", '"R, 2" <a@b.example>']],
    attachments: [{
      filename: "a.txt",
      content: "grüß",
      encoding: "utf-8",
      contentType: 'text/plain; charset="utf-8"; x=y',
      contentId: "<c@d>",
    }],
    tags: ["a", "b"],
    metadata: { order: "7" },
    priority: "high",
    scheduledAt: "2030-01-01T00:00:00+0100",
    expiresAt: new Date("2031-01-01T00:00:00Z"),
    unsubscribe: "HTTPS://b.example/u?a=b",
    onUncertain: "hold",
    stream: "news-2026.weekly",
  } satisfies MessageInput;
  const { id } = await createMailer(db.sql).send(message, { idempotencyKey: "k/1" });
  const [row] = await db
    .sql`select m.*, c.subject, c.text, c.html, c.headers, a.filename, a.content_type, a.cid, a.bytes,
    (select jsonb_agg(jsonb_build_array(r.kind, r.email, r.name) order by r.position) from mailchute.recipient r where r.seq = m.seq) as recipients
    from mailchute.message m join mailchute.content c on c.id = m.content_id join mailchute.attachment a on a.content_id = c.id`;
  expect(row).toMatchObject({
    id,
    idempotency_key: "k/1",
    from_email: "a@b.example",
    from_name: 'Zoë, "the" 1st',
    reply_to: [{ email: "help@b.example" }],
    return_path: "bounces@b.example",
    unsubscribe: "HTTPS://b.example/u?a=b",
    tags: ["a", "b"],
    metadata: { order: "7" },
    lane: 0,
    on_uncertain: "hold",
    stream: "news-2026.weekly",
    scheduled_at: new Date("2029-12-31T23:00:00Z"),
    expires_at: new Date("2031-01-01T00:00:00Z"),
    subject: "Grüße",
    text: "t",
    html: "<p>",
    headers: message.headers,
    filename: "a.txt",
    content_type: 'text/plain; charset="utf-8"; x=y',
    cid: "c@d",
    recipients: [["to", "ann@d.example", "Ann"], ["to", "bob@d.example", null], ["cc", "cc@d.example", null], [
      "bcc",
      "bcc@d.example",
      null,
    ]],
  });
  expect(new TextDecoder().decode(row?.bytes)).toBe("grüß");
});
