import { expect, test } from "bun:test";
import { type Connection, createMailer, type MailTemplate, type ManyRecipient, type SentMany } from "../../mod.ts";
import { createDatabase } from "../database.ts";
import { rejects } from "./cases.ts";

// Faults that random bulk sends have found (tests/fuzz).

const FROM = "shop@shop.example";
const TEXT = { subject: "s", text: "t" } as const;

/** Sends to one reader, with variables of which the compiler knows nothing. */
function sender(db: Connection): (template: object, variables: object) => Promise<SentMany> {
  const mail = createMailer(db, { from: FROM });
  return (template, variables) =>
    mail.sendMany<MailTemplate>({ ...TEXT, ...template }, [{ to: "a@b.example", variables } as ManyRecipient]);
}

test("a variable may have any name, __proto__ too", async () => {
  await using database = await createDatabase();
  const send = sender(database.sql);
  const names = ["__proto__", "constructor", "toString"];
  const values = names.map((name): [string, string] => [name, name]);
  await send({ text: names.map((name) => `{{${name}}}`).join("") }, Object.fromEntries(values));
  const [row] = await database.sql`select variables::text from mailchute.message`;
  expect(Object.entries(JSON.parse(row?.variables)).toSorted()).toEqual(values);
});

test("what no recipient's values may change has no {{name}}: the name of a header, and Sender", async () => {
  await using database = await createDatabase();
  const send = sender(database.sql);
  const bad = [{ "X-{{a}}": "x" }, { Sender: "{{a}}@shop.example" }, { sender: "{{a}} <a@shop.example>" }];
  for (const headers of bad) {
    await rejects(send({ headers }, { a: "x" }), "validation_error", `headers.${Object.keys(headers)[0]}`);
    const mail = { ...TEXT, from: { email: FROM }, headers: Object.entries(headers) };
    const request = {
      id: "017f22e2-79b0-7cc3-98c4-dc0c00000000",
      mail,
      recipients: [["a@b.example", null, null, { a: "x" }]],
    };
    const asked = database.sql`select mailchute.enqueue_many_v1(${JSON.stringify(request)}::text::jsonb)`;
    expect(await asked.catch((error: Error) => error.message)).toContain("headers have a {{name}}");
  }
  expect(await send({ headers: { "X-A": "{{a}}", Sender: "a@shop.example" } }, { a: "x" })).toMatchObject({
    created: 1,
  });
});

test("values that would make no URL of unsubscribe are a fault of their recipient, and no mail that fails later", async () => {
  await using database = await createDatabase();
  const send = sender(database.sql);
  const unsubscribe = "https://{{host}}/u?t={{token}}";
  const at = "recipients.0.variables";
  await rejects(send({ unsubscribe }, { host: "", token: "1" }), "validation_error", at);
  await rejects(send({ unsubscribe }, { host: "shop.example", token: "日".repeat(100) }), "validation_error", at);
  expect(await send({ unsubscribe }, { host: "shop.example", token: "日".repeat(90) })).toMatchObject({ created: 1 });
});

test("client and database count the bytes of variables alike", async () => {
  await using database = await createDatabase();
  const send = sender(database.sql);
  const text = { text: "{{a}}" };
  expect(await send(text, { a: `"${"x".repeat(65_534)}` })).toMatchObject({ created: 1 });
  const error = await rejects(send(text, { a: "x".repeat(65_536) }), "validation_error", "recipients.0.variables");
  expect(error.cause).toBeUndefined();
  const asked = database.sql`select mailchute.recipient_issues(${
    JSON.stringify([["a@b.example", null, null, { a: `x${"é".repeat(32_768)}` }]])
  }::text::jsonb, b, 0, null) as issues from mailchute.batch b`;
  expect(await asked).toMatchObject([{ issues: [{ path: "recipients.0.variables" }] }]);
});

test("only blanks of ASCII may stand around a name, whatever the locale of the database", async () => {
  await using database = await createDatabase({ locale: "C.UTF-8" });
  const send = sender(database.sql);
  for (const blank of ["\u00a0", "\u2028", "\u3000", "\ufeff"]) {
    const error = await rejects(send({ text: `{{${blank}a}}` }, { a: "x" }), "validation_error", "text");
    expect(error.cause).toBeUndefined();
    const [row] = await database
      .sql`select mailchute.is_template(${`{{${blank}a}}`}) as yes, mailchute.template_names(${`{{${blank}a}}`}) as names`;
    expect(row).toEqual({ yes: false, names: [] });
  }
  expect(await send({ text: "{{ \t\na\r\v\f }}" }, { a: "x" })).toMatchObject({ created: 1 });
});
