import { expect, test } from "bun:test";
import { readDatabases, readSettings } from "../../relay/config.ts";

const HOME = "postgres://relay:pw@db.example.com/shop";

function read(env: Record<string, string>) {
  return readDatabases(env, (path) => {
    if (path === "/run/crm") return "postgres://relay:pw@db.example.com/crm\n";
    throw new Error(path);
  });
}

test("DATABASE_URL is home and comes first, the named ones follow by name", () => {
  const databases = read({
    DATABASE_URL_WIKI: "postgresql://u:p@wiki.example.com:6432/w",
    DATABASE_URL_CRM_FILE: "/run/crm",
    DATABASE_URL: HOME,
  });
  expect(databases.map(({ name, display }) => [name, display])).toEqual([
    ["home", "db.example.com/shop"],
    ["crm", "db.example.com/crm"],
    ["wiki", "wiki.example.com:6432/w"],
  ]);
});

test("the unpooled address is preferred, for home and for the named ones", () => {
  const databases = read({
    DATABASE_URL: "postgres://u:p@ep-x-pooler.example.com/shop",
    DATABASE_URL_UNPOOLED: "postgres://u:p@ep-x.example.com/shop",
    DATABASE_URL_CRM: "postgres://u:p@ep-y-pooler.example.com/crm",
    DATABASE_URL_CRM_UNPOOLED: "postgres://u:p@ep-y.example.com/crm",
  });
  expect(databases.map(({ display }) => display)).toEqual(["ep-x.example.com/shop", "ep-y.example.com/crm"]);
  expect(read({ DATABASE_URL_UNPOOLED: HOME }).map(({ name }) => name)).toEqual(["home"]);
});

test("a pooler without a direct address is answered with a notice", () => {
  const env = { DATABASE_URL: "postgres://u:p@ep-x-pooler.example.com/shop", SMTP_URL: "smtp://h" };
  expect(readSettings(env, () => "").notices[0]).toContain("set DATABASE_URL_UNPOOLED");
});

test("embedded: asks for the built-in server in a directory", () => {
  expect(read({ DATABASE_URL: "embedded:./data" })).toEqual([
    { kind: "embedded", name: "home", directory: "./data", display: "embedded ./data" },
  ]);
  for (const bad of ["embedded:", "embedded://data"]) {
    expect(() => read({ DATABASE_URL: bad })).toThrow("write embedded:./data");
  }
});

test("two names for one database are refused, since its mail would be counted twice", () => {
  expect(() => read({ DATABASE_URL: HOME, DATABASE_URL_SHOP: HOME })).toThrow(
    "Cannot use both DATABASE_URL and DATABASE_URL_SHOP: they name the same database, db.example.com/shop; remove one",
  );
});

test("each malformed database URL is refused by its variable", () => {
  const cases: [Record<string, string>, string][] = [
    [{ DATABASE_URL: "shop" }, "Cannot use DATABASE_URL: it is no URL"],
    [{ DATABASE_URL: "mysql://u:p@h/d" }, "it is no URL of the form postgres://"],
    [{ DATABASE_URL: "postgres://u:p#w@h/d" }, "%23 for #"],
    [{ DATABASE_URL: "postgres://h" }, "names no database"],
    [{ DATABASE_URL: "postgres:///d" }, "names no host"],
    [{ DATABASE_URL: HOME, DATABASE_URL_CRM_UNPOOLED: "x" }, "Cannot use DATABASE_URL_CRM_UNPOOLED:"],
    [{ DATABASE_URL_CRM: HOME }, "DATABASE_URL, the home database, is missing"],
    [{ DATABASE_URL: HOME, DATABASE_URL_HOME: "postgres://h/d" }, "home cannot be a database's name"],
    [{ DATABASE_URL: HOME, "DATABASE_URL_": "postgres://h/d" }, "ends without a name"],
    [{ DATABASE_URL: HOME, "DATABASE_URL_A-B": "postgres://h/d" }, "write DATABASE_URL_SHOP"],
  ];
  for (const [env, words] of cases) expect(() => read(env)).toThrow(words);
  expect(read({ DATABASE_URL: "postgres:///d?host=/run/postgresql" })[0]?.display).toBe("/run/postgresql/d");
});

test("a % that begins no character is a fault of the setting, which the driver would end with for every command", () => {
  for (const variable of ["DATABASE_URL", "DATABASE_URL_CRM"]) {
    const reading = () => read({ DATABASE_URL: HOME, [variable]: "postgres://u:50%off@db.example.com/x" });
    expect(reading).toThrow(`Cannot use ${variable}: a % in it is not followed by two hex digits; write %25 for %`);
    expect(reading).not.toThrow("50%");
  }
});
