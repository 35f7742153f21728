import { expect, test } from "bun:test";
import { createMailer, MailchuteError, type MessageInput } from "../../mod.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { offline, requestOf } from "./offline.ts";
import { contentOf, HEAD, issuesOf, save } from "./templates.ts";

// Templates that lie in the database: what the client says of them before it asks, and what the database makes of them.

/** What a mail with a template says, or the paths and reasons of its faults. */
async function made(database: TestDatabase, template: object, more: object = {}): Promise<unknown> {
  const mail = createMailer(database.sql);
  return await mail.send({ ...HEAD, template, ...more } as MessageInput).then(
    ({ id }) => contentOf(database, id),
    (error: unknown) => {
      if (!(error instanceof MailchuteError)) throw error;
      return error.issues.map(({ path, message }) => `${path} ${message}`);
    },
  );
}

test("a mail is made in its language, in the wider one, or in the one that was saved without a language", async () => {
  await using database = await createDatabase();
  for (const language of ["", "de", "pt_BR", "zh-Hant"]) {
    await save(database.sql, { language, subject: `in ${language}` });
  }
  const subjects: Record<string, unknown> = {};
  for (const language of [undefined, "", "de", "DE", "de-AT", "de_at", "pt-BR", "pt", "zh-Hant-TW", "zh-TW", "fr"]) {
    subjects[String(language)] = (await made(database, { name: "welcome", language }) as { subject: string }).subject;
  }
  expect(subjects).toEqual({
    ...{ undefined: "in ", "": "in ", de: "in de", DE: "in de", "de-AT": "in de", de_at: "in de" },
    ...{ "pt-BR": "in pt_BR", pt: "in ", "zh-Hant-TW": "in zh-Hant", "zh-TW": "in ", fr: "in " },
  });
  await save(database.sql, { name: "news", language: "de" });
  await save(database.sql, { name: "news", language: "en" });
  expect(await made(database, { name: "news", language: "fr" })).toEqual([
    "template.language is not there, and no text without a language either: there are de, en",
  ]);
});

test("the newest version is used unless another is asked for, and what is in the queue does not change", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  expect(await save(database.sql, { subject: "first" })).toBe(1);
  const { id } = await mail.send({ ...HEAD, template: { name: "welcome" } });
  expect(await save(database.sql, { subject: "second" })).toBe(2);
  expect(await save(database.sql, { subject: "second" })).toBe(2);
  expect(await save(database.sql, { language: "de", subject: "erste" })).toBe(1);
  expect(await made(database, { name: "welcome" })).toMatchObject({ subject: "second" });
  expect(await made(database, { name: "welcome", version: 1 })).toMatchObject({ subject: "first" });
  expect(await made(database, { name: "welcome", version: 3 })).toEqual([
    "template.version is not there: the newest is 2",
  ]);
  // A version counts within its language.
  expect(await made(database, { name: "welcome", language: "de-AT", version: 2 })).toEqual([
    "template.version is not there in de: the newest is 1",
  ]);
  await database.sql`delete from mailchute.template`;
  expect(await contentOf(database, id)).toEqual({ subject: "first", text: "t", html: null });
});

test("values are escaped in HTML, raw in text and subject, and never read as a template", async () => {
  await using database = await createDatabase();
  const html = '<p title="{{a}}">{{ a }}{{b}}\u00e9</p>{{\n\tb\r}}';
  await save(database.sql, { subject: "{{a}} {{a}}", text: "}} {{b}}{{a}} { {x} }", html });
  const a = `<b>&"'{{b}}{{c}}\\1$1`;
  const escaped = "&lt;b&gt;&amp;&quot;&#39;{{b}}{{c}}\\1$1";
  expect(await made(database, { name: "welcome", variables: { a, b: 7, c: "never", unused: "" } })).toEqual({
    subject: `${a} ${a}`,
    text: `}} 7${a} { {x} }`,
    html: `<p title="${escaped}">${escaped}7\u00e9</p>7`,
  });
});

test("a name may have any blanks around it that a bulk send takes, and any letters at its ends", async () => {
  await using database = await createDatabase();
  const names = ["v", "vat", "t", "rnfv", "_n", "x_", "A1"];
  const text = names.map((name) => `{{\t\n\v\f\r ${name} \r\f\v\n\t}}`).join();
  await save(database.sql, { text });
  const variables = Object.fromEntries(names.map((name) => [name, `<${name}>`]));
  const expected = names.map((name) => `<${name}>`).join();
  expect(await made(database, { name: "welcome", variables })).toMatchObject({ text: expected });
});

test("a variable that is missing, or would break the subject, is named", async () => {
  await using database = await createDatabase();
  await save(database.sql, { subject: "Hi {{first}}", text: "{{last}}", html: "{{first}} {{__proto__}}" });
  expect(await made(database, { name: "welcome", variables: { first: "A" } })).toEqual([
    "template.variables.__proto__ is missing",
    "template.variables.last is missing",
  ]);
  const breaks = JSON.parse('{"first": "A\\r\\nBcc: eve@example.com", "last": "B\\n", "__proto__": ""}');
  expect(await made(database, { name: "welcome", variables: breaks })).toEqual([
    "template.variables.first has a line break or a control character, and stands in the subject",
  ]);
  const good = JSON.parse('{"first": "A", "last": "B\\r\\nC", "__proto__": "P"}');
  expect(await made(database, { name: "welcome", variables: good })).toEqual({
    ...{ subject: "Hi A", text: "B\r\nC", html: "A P" },
  });
  expect(await made(database, { name: "nobody" })).toEqual([
    "template.name is not a template of this app: mailchute template save stores one",
  ]);
});

test("what a template has made is checked like every other mail", async () => {
  await using database = await createDatabase();
  await save(database.sql, { subject: "{{s}}", text: "{{s}}".repeat(200) });
  const [issue] = await made(database, { name: "welcome", variables: { s: "x".repeat(60_000) } }) as readonly string[];
  expect(issue).toStartWith("text must be a string of at most 10,000,000 bytes");
  expect(await made(database, { name: "welcome", variables: { s: "x".repeat(65_536) } })).toEqual([
    "template.variables it has more than 65,536 bytes",
  ]);
  expect(await made(database, { name: "welcome", variables: { s: "x" } }, { digest: { key: "k", wait: "1h" } }))
    .toMatchObject({ subject: "x" });
});

test("send in SQL takes a template, and numbers as they are", async () => {
  await using database = await createDatabase();
  await save(database.sql, { subject: "{{n}} of {{name}}" });
  const send = async (template: unknown, more = {}) => {
    const request = JSON.stringify({ ...HEAD, template, ...more });
    return await database.sql`select mailchute.send(${request}::text::jsonb) as id`.then(
      ([row]) => contentOf(database, row?.id as string),
      (error: { readonly detail: string }) => JSON.parse(error.detail).map(({ path }: { path: string }) => path),
    );
  };
  expect(await send({ name: "welcome", variables: { n: 7.5, name: "A", list: [1] } })).toMatchObject({
    subject: "7.5 of A",
  });
  expect(await send(null, { subject: "s", text: "t" })).toMatchObject({ subject: "s" });
  expect(await send("welcome")).toEqual(["template"]);
  expect(await send({ name: 7, language: "deutsch", version: "1", vars: {} })).toEqual(
    ["template.vars", "template.name", "template.language", "template.version"],
  );
  expect(await send({ name: "welcome", variables: ["n"] })).toEqual(["template.variables"]);
  expect(await send({ name: "welcome", variables: { n: true, name: null } })).toEqual(
    ["template.variables.name", "template.variables.n"],
  );
  expect(await send({ name: "welcome", variables: { n: 1, name: "A" } }, { subject: "s" })).toEqual(["subject"]);
  const odd = await Promise.all(
    ['"template"', '["template"]'].map((json) =>
      database.sql`select mailchute.enqueue_v1(${json}::text::jsonb)`.catch((error: { readonly code: string }) =>
        error.code
      )
    ),
  );
  expect(odd).toEqual(["MC001", "MC001"]);
});

test("the same key finds its mail, whatever has become of the template", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  const send = (first: string) =>
    mail.send({ ...HEAD, template: { name: "welcome", variables: { first } } }, { idempotencyKey: "welcome/7" });
  await save(database.sql, { subject: "{{first}}" });
  const first = await send("A");
  await save(database.sql, { subject: "{{first}} {{last}}" });
  expect(await send("A")).toEqual({ id: first.id, created: false });
  await database.sql`delete from mailchute.template`;
  expect(await send("A")).toEqual({ id: first.id, created: false });
  await save(database.sql, { subject: "{{first}}" });
  expect(await send("B").catch((error: MailchuteError) => error.code)).toBe("idempotency_conflict");
});

test("a mail of a template is gone with its transaction, and sees a template of its transaction", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  const failing = database.sql.begin(async (tx) => {
    await tx`select mailchute.save_template('postgres', 'welcome', 'Hi', 'Hello')`;
    const { id } = await mail.send({ ...HEAD, template: { name: "welcome" } }, { tx });
    const [row] = await tx`select state from mailchute.recipient join mailchute.message using (seq) where id = ${id}`;
    expect(row?.state).toBe("queued");
    throw new Error("out of stock");
  });
  expect(await failing.catch((error: Error) => error.message)).toBe("out of stock");
  expect(await database.sql`select from mailchute.message union all select from mailchute.template`).toHaveLength(0);
});

const BAD: readonly (readonly [template: unknown, paths: readonly string[]])[] = [
  ["welcome", ["template"]],
  [null, ["template.name"]],
  [{}, ["template.name"]],
  [{ name: "" }, ["template.name"]],
  [{ name: "n".repeat(101) }, ["template.name"]],
  [{ name: "n", language: "de AT" }, ["template.language"]],
  [{ name: "n", version: 0 }, ["template.version"]],
  [{ name: "n", version: "2" }, ["template.version"]],
  [{ name: "n", lang: "de" }, ["template.lang"]],
  [{ name: "n", variables: "v" }, ["template.variables"]],
  [{ name: "n", variables: { a: Number.NaN, b: new Date(), c: "\0" } }, [
    "template.variables.a",
    "template.variables.b",
    "template.variables.c",
  ]],
];

for (const [template, paths] of BAD) {
  test(`the client refuses the template ${JSON.stringify(template)?.slice(0, 80)} before it asks`, async () => {
    expect(await issuesOf(offline.send({ ...HEAD, template } as MessageInput))).toEqual(paths);
  });
}

test("subject, text and html do not go with a template", async () => {
  const mail = { ...HEAD, subject: "s", text: "t", html: "<p>", template: { name: "n" } };
  expect(await issuesOf(offline.send(mail as never))).toEqual(["subject", "text", "html"]);
});

test("a template goes to the database as text that is well-formed, without what is undefined", async () => {
  const template = { name: "n", language: undefined, variables: { a: 7, b: "\ud800", c: undefined, d: null } };
  const request = await requestOf({ subject: undefined, text: undefined, template });
  expect(request.template).toEqual({ name: "n", variables: { a: "7", b: "\ufffd" } });
  expect(Object.keys(request)).toEqual(["id", "from", "to", "template"]);
});
