import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createDatabase, type TestDatabase } from "../database.ts";
import { temporaryDirectory } from "../relay_process.ts";
import { on, run } from "../command.ts";

/** A folder with these files, in one that goes with the test. */
function folderOf(
  root: { readonly path: string },
  files: Readonly<Record<string, string | Uint8Array>>,
): string {
  const folder = mkdtempSync(join(root.path, "templates-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

const FILES = {
  "README.md": "About these",
  "welcome/.DS_Store": "",
  "welcome/subject.txt": "Hi {{first}}\n",
  "welcome/body.txt": "Dear {{first}} {{last}}\n",
  "welcome/body.html": "<p>{{first}} {{last}}</p>\n",
  "welcome/de/subject.txt": "Hallo {{first}}\r\n",
  "welcome/de/body.txt": "Liebe {{first}} {{last}}\n",
  "receipt/subject.txt": "Receipt",
  "receipt/body.html": "<p>Thanks</p>",
};

async function shop(database: TestDatabase): Promise<(...words: readonly string[]) => ReturnType<typeof run>> {
  await database.sql`insert into mailchute.app (name, senders) values ('shop', '{*}')`;
  return (...words) => run(["template", ...words], on(database));
}

test("template save reads a folder, and saves as a new version what has changed", async () => {
  await using database = await createDatabase();
  using root = temporaryDirectory();
  const template = await shop(database);
  const first = await template("save", folderOf(root, FILES), "--app", "shop");
  expect(first).toEqual({
    code: 0,
    stdout: "receipt: version 1\nwelcome: version 1\nwelcome de: version 1\n",
    stderr: "",
  });
  const rows = await database
    .sql`select app, name, language, subject, text, html from mailchute.template order by name, language`;
  expect([...rows]).toEqual([
    { app: "shop", name: "receipt", language: "", subject: "Receipt", text: null, html: "<p>Thanks</p>" },
    {
      ...{ app: "shop", name: "welcome", language: "", subject: "Hi {{first}}" },
      ...{ text: "Dear {{first}} {{last}}\n", html: "<p>{{first}} {{last}}</p>\n" },
    },
    {
      ...{ app: "shop", name: "welcome", language: "de", subject: "Hallo {{first}}" },
      ...{ text: "Liebe {{first}} {{last}}\n", html: null },
    },
  ]);
  const changed = folderOf(root, { ...FILES, "welcome/de/subject.txt": "Servus {{first}}" });
  const trial = await template("save", changed, "--app", "shop", "--dry-run");
  expect(trial).toMatchObject({ code: 0, stderr: "Nothing was saved: this was --dry-run.\n" });
  const second = await template("save", changed, "--app", "shop");
  expect(second.stdout).toBe("receipt: version 1, as it was\nwelcome: version 1, as it was\nwelcome de: version 2\n");
  expect(trial.stdout).toBe(second.stdout);
  const json = JSON.parse((await template("save", changed, "--app", "shop", "--json")).stdout);
  expect(json.at(-1)).toEqual({ name: "welcome", language: "de", version: 2, isNew: false });
});

test("template save refuses what cannot be sent, and languages whose variables differ, and saves nothing of it", async () => {
  await using database = await createDatabase();
  using root = temporaryDirectory();
  const template = await shop(database);
  const save = async (files: Parameters<typeof folderOf>[1], ...more: readonly string[]) =>
    await template("save", folderOf(root, files), "--app", "shop", ...more);
  const differs = { ...FILES, "welcome/de/body.txt": "Liebe {{name}}" };
  const said = await save(differs);
  expect(said).toMatchObject({ code: 1, stdout: "" });
  expect(said.stderr).toContain("welcome: {{last}} is in (no language), and not in de\n");
  expect(said.stderr).toContain("welcome: {{name}} is in de, and not in (no language)\n");
  expect(said.stderr).toContain("--accept-differences");

  const odd = await save({ ...FILES, "welcome/de/body.htm": "" });
  expect(odd).toMatchObject({ code: 1, stdout: "" });
  expect(odd.stderr).toContain("welcome/de/body.htm is none of NAME/subject.txt");
  const broken = await save({ ...FILES, "welcome/de/body.html": "{{#each}}" });
  expect(broken).toMatchObject({ code: 1, stdout: "" });
  expect(broken.stderr).toContain(
    "welcome de: Cannot save the template welcome: html has {{ without a name like {{name}}",
  );
  const bytes = { "welcome/subject.txt": new Uint8Array([0x47, 0xfc]), "welcome/body.txt": "\0" };
  const unread = await save({ ...FILES, ...bytes });
  expect(unread).toMatchObject({ code: 1, stdout: "" });
  for (const path of Object.keys(bytes)) expect(unread.stderr).toContain(`${path} is no text in UTF-8`);
  const [one, two] = ["welcome/de_AT/body.txt", "welcome/de-at/body.txt"];
  const twice = await save({ ...FILES, [one]: "Servus", [two]: "Servus" });
  expect(twice).toMatchObject({ code: 1, stdout: "" });
  expect(twice.stderr).toContain(`${one} is of the same language as welcome/de-at`);
  expect((await save({ "welcome/body.txt": "t" })).stderr).toContain("subject is missing");
  expect((await save({ "README.md": "" })).stderr).toContain("there is no template in");
  expect(await database.sql`select from mailchute.template`).toHaveLength(0);

  const accepted = await save(differs, "--accept-differences");
  expect(accepted).toMatchObject({ code: 0 });
  // What the folder does not have counts too: its languages are in the database.
  const partly = await save({ "welcome/fr/subject.txt": "Salut", "welcome/fr/body.txt": "Bonjour" });
  expect(partly.stderr).toContain("welcome: {{first}} is in (no language), de, and not in fr");
  const bodies = await save({ "news/subject.txt": "News", "news/body.txt": "t", "news/body.html": "{{logo}}" });
  expect(bodies).toMatchObject({ code: 0, stderr: "news: {{logo}} is in body.html, and not in body.txt\n" });
  const nobody = await template("save", folderOf(root, FILES), "--app", "shp");
  expect(nobody.stderr).toContain("app is no app here: mailchute grants ROLE --app shp makes it");
});

test("template save leaves out the byte order mark that some editors begin a file with", async () => {
  await using database = await createDatabase();
  using root = temporaryDirectory();
  const template = await shop(database);
  const marked = { "a/subject.txt": "\uFEFFHi\r\n", "a/body.txt": "\uFEFFHi", "a/body.html": "\uFEFF<p>" };
  expect((await template("save", folderOf(root, marked), "--app", "shop")).code).toBe(0);
  expect([...await database.sql`select subject, text, html from mailchute.template`])
    .toEqual([{ subject: "Hi", text: "Hi", html: "<p>" }]);
});

test("template list, show, preview and remove tell of templates, for people and for programs", async () => {
  await using database = await createDatabase();
  using root = temporaryDirectory();
  const template = await shop(database);
  expect((await template("list")).stderr).toContain("There are no templates");
  await template("save", folderOf(root, FILES), "--app", "shop");
  const list = await template("list");
  expect(list.stdout).toMatch(
    /^app +name +language +version +variables +since +by\nshop +receipt +1 .*\nshop +welcome +1 +first last /,
  );
  expect(JSON.parse((await template("list", "--app", "shop", "--json")).stdout)[2]).toMatchObject({
    ...{ app: "shop", name: "welcome", language: "de", version: 1, names: ["first", "last"] },
  });
  expect((await template("list", "--app", "other", "--json")).stdout).toBe("[]\n");

  const shown = await template("show", "welcome", "--app", "shop", "--language", "DE");
  expect(shown).toEqual({
    ...{ code: 0, stderr: "welcome de, version 1\n" },
    stdout: "Subject: Hallo {{first}}\n\nLiebe {{first}} {{last}}\n\n",
  });
  const unknown = await template("show", "welcome", "--app", "shop", "--version", "2");
  expect(unknown).toMatchObject({ code: 1, stdout: "" });
  expect(unknown.stderr).toContain("there is: (no language) version 1, de version 1");

  const values = ["--var", "first=<A>", "--var", "last={{first}}"];
  const made = await template("preview", "welcome", "--app", "shop", "--language", "fr-CA", ...values, "--json");
  expect(JSON.parse(made.stdout)).toEqual({
    ...{ name: "welcome", language: "", version: 1, subject: "Hi <A>", text: "Dear <A> {{first}}\n" },
    html: "<p>&lt;A&gt; {{first}}</p>\n",
  });
  const lacking = await template("preview", "welcome", "--app", "shop", "--var", "first=A");
  expect(lacking).toMatchObject({ code: 1, stdout: "" });
  expect(lacking.stderr).toContain("Cannot preview it: template.variables.last is missing");

  const trial = await template("remove", "welcome", "--app", "shop", "--dry-run");
  expect(trial).toMatchObject({ code: 0, stderr: expect.stringContaining("Nothing was removed") });
  const unsure = await template("remove", "welcome", "--app", "shop");
  expect(unsure).toEqual({
    code: 1,
    stdout: "welcome: version 1 would be removed\nwelcome de: version 1 would be removed\n",
    stderr: "Nothing was removed: 2 versions would be, with --yes.\n",
  });
  expect((await template("remove", "welcome", "--app", "shop", "--language", "de")).stdout).toBe(
    "welcome de: version 1 removed\n",
  );
  const bare = await template("remove", "welcome", "--app", "shop", "--language", "", "--dry-run");
  expect(bare.stdout).toBe("welcome: version 1 would be removed\n");
  expect((await template("remove", "welcome", "--app", "")).stderr).toContain("--app is empty: say which");
  expect((await template("remove", "welcome", "--app", "shop")).stdout).toBe("welcome: version 1 removed\n");
  expect((await template("remove", "welcome", "--app", "shop")).code).toBe(1);
  expect([...await database.sql`select name from mailchute.template`]).toEqual([{ name: "receipt" }]);
});

test("template says what is wrong with its command line", async () => {
  await using database = await createDatabase();
  const template = await shop(database);
  const wrong: readonly (readonly [words: readonly string[], said: string])[] = [
    [[], "Say what to do: list, save, show, preview, remove"],
    [["delete", "welcome"], "Say what to do"],
    [["show", "welcome"], "Name the app"],
    [["show", "--app", "shop"], "template show takes one name"],
    [["list", "welcome"], "template list takes no name"],
    [["list", "--version", "2"], "--version does not go with template list"],
    [["show", "welcome", "--app", "shop", "--version", "new"], "--version new is no whole number"],
    [["save", "/nowhere/at/all", "--app", "shop"], "Cannot read the folder /nowhere/at/all"],
  ];
  for (const [words, said] of wrong) {
    const { code, stdout, stderr } = await template(...words);
    expect({ words, code, stdout }).toEqual({ words, code: 2, stdout: "" });
    expect(stderr).toContain(said);
  }
});

test("mailchute_admin saves, previews and removes; mailchute_relay and mailchute_viewer read", async () => {
  await using database = await createDatabase();
  using root = temporaryDirectory();
  await database.sql`insert into mailchute.app (name, senders) values ('shop', '{*}')`;
  const as = async (role: string) => {
    const url = await database.as(`template_${role}`);
    await database.sql.unsafe(`grant mailchute_${role} to template_${role}`);
    return async (...words: readonly string[]) => (await run(["template", ...words], { DATABASE_URL: url })).code;
  };
  const [admin, viewer, relay] = [await as("admin"), await as("viewer"), await as("relay")];
  const folder = folderOf(root, FILES);
  expect(await viewer("save", folder, "--app", "shop")).toBe(1);
  expect(await relay("save", folder, "--app", "shop")).toBe(1);
  expect(await admin("save", folder, "--app", "shop")).toBe(0);
  for (const role of [admin, viewer, relay]) {
    expect(await role("list")).toBe(0);
    expect(await role("preview", "receipt", "--app", "shop")).toBe(0);
  }
  expect(await viewer("remove", "receipt", "--app", "shop")).toBe(1);
  expect(await relay("remove", "receipt", "--app", "shop")).toBe(1);
  expect(await admin("remove", "receipt", "--app", "shop")).toBe(0);
});
