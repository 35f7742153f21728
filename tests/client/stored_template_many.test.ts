import { expect, test } from "bun:test";
import { createMailer } from "../../mod.ts";
import { createDatabase } from "../database.ts";
import { HEAD, issuesOf, save } from "./templates.ts";

test("a bulk send has the content of its template as it was when it began, and each recipient's values", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  await save(database.sql, { subject: "Hi {{first}}", text: "{{first}}" });
  await save(database.sql, { language: "de", subject: "Hallo {{first}}", text: "{{first}}" });
  const template = { from: HEAD.from, template: { name: "welcome", language: "de-CH" }, headers: { "X-A": "{{a}}" } };
  const person = (name: string) => ({ to: `${name}@example.com`, variables: { first: name, a: 7, unused: "u" } });
  const send = (names: readonly string[]) => mail.sendMany(template, names.map(person), { batch: "b" });
  expect(await send(["ann", "bob"])).toMatchObject({ created: 2 });
  await save(database.sql, { language: "de", subject: "Servus {{first}}", text: "{{first}} {{last}}" });
  expect(await send(["ann", "bob", "cid"])).toMatchObject({ created: 1, existing: 2 });
  const contents = await database.sql`
    select m.variables, c.subject, b.names, b.mail -> 'template' as template
    from mailchute.message m join mailchute.batch b on b.seq = m.batch join mailchute.content c on c.id = m.content_id order by m.seq`;
  expect([...contents]).toEqual(["ann", "bob", "cid"].map((first) => ({
    ...{ variables: { first, a: "7", unused: "u" }, subject: "Hallo {{first}}", names: ["a", "first"] },
    template: { name: "welcome", language: "de", version: 1 },
  })));
  // Retention has deleted the content: it is that version's again, and a template that is gone as well is said.
  await database.sql`delete from mailchute.content`;
  expect(await send(["dan"])).toMatchObject({ created: 1 });
  expect([...await database.sql`select subject from mailchute.content`]).toEqual([{ subject: "Hallo {{first}}" }]);
  await database.sql`delete from mailchute.template where language = 'de' and version = 1`;
  expect(await send(["eve"])).toMatchObject({ created: 1 });
  await database.sql`delete from mailchute.content`;
  expect(await issuesOf(send(["fay"]))).toEqual(["template.version"]);
});

test("a recipient without a variable of the template, or with a line break in one, is named", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  await save(database.sql, { subject: "Hi {{first}}", html: "{{last}}" });
  const template = { from: HEAD.from, template: { name: "welcome" }, unsubscribe: "https://example.com/{{token}}" };
  const good = { first: "A", last: "B", token: "t" };
  const people = [
    { to: "a@example.com", variables: good },
    { to: "b@example.com", variables: { first: "B", token: "t" } },
    { to: "c@example.com", variables: { ...good, first: "C\nBcc: eve@example.com" } },
    { to: "d@example.com", variables: { first: "D", last: "D" } },
  ];
  const { created, skipped } = await mail.sendMany(template, people, { onInvalid: "skip" });
  expect(created).toBe(1);
  expect(skipped.map(({ issues }) => issues[0]?.path)).toEqual([
    "recipients.1.variables.last",
    "recipients.2.variables.first",
    "recipients.3.variables.token",
  ]);
});

test("a recipient with two faults is left out once, and counted once", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  await save(database.sql, { subject: "Hi {{first}}", text: "{{last}}" });
  const template = { from: HEAD.from, template: { name: "welcome" } };
  const [ann, bob] = ["ann", "bob"].map((name) => ({
    to: `${name}@example.com`,
    variables: { first: name, last: "B" },
  }));
  if (ann === undefined || bob === undefined) throw new Error("There is nobody");
  await mail.sendMany(template, [bob], { batch: "b" });
  // Without both variables, and the same address as the first.
  const people = [ann, bob, { to: ann.to, variables: {} }];
  const progress: unknown[] = [];
  const onProgress = (step: unknown) => void progress.push(step);
  const sent = await mail.sendMany(template, people, { batch: "b", onInvalid: "skip", onProgress });
  expect(sent).toMatchObject({ created: 1, existing: 1 });
  const issues = ["first", "last"].map((name) => ({
    path: `recipients.2.variables.${name}`,
    message: "is missing",
  }));
  expect(sent.skipped).toEqual([{ index: 2, issues }]);
  expect(progress).toEqual([{ created: 1, existing: 1, skipped: 1 }]);
});
