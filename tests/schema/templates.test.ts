import { expect, test } from "bun:test";
import { createMailer, type MailchuteError } from "../../mod.ts";
import { contentOf, HEAD, issuesOf, save, type Saved } from "../client/templates.ts";
import { createDatabase } from "../database.ts";
import { on, run } from "../command.ts";
import { connectAs, newRole, refusal } from "./role.ts";

test("an app's role uses the templates of its app, and saves, reads and removes none", async () => {
  await using database = await createDatabase();
  const [shop, other] = [newRole(), newRole()];
  for (const [role, app] of [[shop, "shop"], [other, "other"]] as const) {
    await database.as(role);
    await database.sql`insert into mailchute.app (name, senders) values (${app}, '{*}')`;
    await database.sql`insert into mailchute.app_role (role, app) values (${role}, ${app})`;
    await database.sql.unsafe(`grant mailchute_client to ${role}`);
  }
  await save(database.sql, { app: "shop", subject: "Shop" });
  await save(database.sql, { app: "other", name: "secret", subject: "Other" });
  await using sql = await connectAs(database, shop);
  const mail = createMailer(sql);
  const { id } = await mail.send({ ...HEAD, template: { name: "welcome" } });
  expect(await contentOf(database, id)).toMatchObject({ subject: "Shop" });
  // As one that does not exist.
  for (const name of ["secret", "nobody"]) {
    const refused = mail.send({ ...HEAD, template: { name } });
    expect(await refused.catch((error: MailchuteError) => error.issues)).toEqual([
      { path: "template.name", message: "is not a template of this app: mailchute template save stores one" },
    ]);
    expect(await issuesOf(mail.sendMany({ from: HEAD.from, template: { name } }, [{ to: HEAD.to }]))).toEqual(
      ["template.name"],
    );
  }
  const denied = [
    "select from mailchute.template",
    "select mailchute.save_template('shop', 'welcome', 's', 't')",
    `select mailchute.preview_template('other', '{"name": "secret"}')`,
    `select mailchute.find_template('other', '{"name": "secret"}')`,
  ];
  const codeOf = async (statement: string) =>
    await sql.unsafe(statement).then(() => "done", (error: { readonly code: string }) => error.code);
  for (const statement of denied) {
    expect({ statement, code: await codeOf(statement) }).toEqual({ statement, code: "42501" });
  }
  // Whom a person allows it saves for its own app, and for no other.
  await database.sql.unsafe(
    `grant execute on function mailchute.save_template(text, text, text, text, text, text) to ${shop}`,
  );
  expect(await codeOf("select mailchute.save_template('other', 'secret', 's', 't')")).toBe("MC002");
  expect(await codeOf("select mailchute.save_template(null, 'own', 's', 't')")).toBe("done");
  expect((await database.sql`select app, created_by from mailchute.template where name = 'own'`)[0]).toMatchObject({
    ...{ app: "shop", created_by: shop },
  });
});

test("save_template refuses what could not be sent, and says which field", async () => {
  await using database = await createDatabase();
  const bad: readonly (readonly [Saved, string])[] = [
    [{ app: "nobody" }, "app"],
    [{ name: "two words" }, "name"],
    [{ name: "" }, "name"],
    [{ language: "german" }, "language"],
    [{ subject: "a\nb" }, "subject"],
    [{ text: null }, "text"],
    [{ text: "{{#if a}}" }, "text"],
    [{ subject: "{{{a}}}" }, "subject"],
    [{ html: "{{ a" }, "html"],
    [{ text: "x".repeat(10_000_001) }, "text"],
  ];
  for (const [template, path] of bad) {
    const error = await save(database.sql, template).then(() => undefined, (error: unknown) => error);
    const { code, detail } = error as { readonly code: string; readonly detail: string };
    const paths = JSON.parse(detail).map((issue: { readonly path: string }) => issue.path);
    expect({ template: JSON.stringify(template).slice(0, 80), code, paths }).toMatchObject({
      code: "MC001",
      paths: [path],
    });
  }
  expect(await database.sql`select from mailchute.template`).toHaveLength(0);
});

test("two who save at once get two versions", async () => {
  await using database = await createDatabase();
  const texts = Array.from({ length: 8 }, (_, index) => `text ${index}`);
  const versions = await Promise.all(texts.map((text) => save(database.sql, { text })));
  expect(versions.toSorted((one, other) => one - other)).toEqual(texts.map((_, index) => index + 1));
});

test("who gives the name of an app's role is told that it is no app, where a template or a stream would be nobody's", async () => {
  await using database = await createDatabase();
  const role = newRole();
  await database.as(role);
  await database.sql`insert into mailchute.app (name, senders) values ('shop', '{*}')`;
  await database.sql`insert into mailchute.app_role (role, app) values (${role}, 'shop')`;
  const refused = await refusal(save(database.sql, { app: role }));
  expect(refused).toMatchObject({ code: "MC001", message: expect.stringContaining("app is no app here") });
  const { code, stderr } = await run(["stream", "codes", "--app", role, "--expires", "1h"], on(database));
  expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining(`There is no app ${role}`) });
  // The owner of the schema sends as the app of its own name.
  for (const app of ["shop", "postgres"]) expect(await save(database.sql, { app })).toBe(1);
});
