import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";

const DATABASE = { DATABASE_URL: "postgres://relay:secret@127.0.0.1:1/shop" };
const SMTP = { SMTP_URL: "smtp://127.0.0.1:2525" };

/** What is set, and what the one sentence has to name. */
const WRONG: readonly (readonly [fault: string, env: Readonly<Record<string, string>>, says: readonly string[]])[] = [
  ["an unknown RELAY_ name", { ...DATABASE, ...SMTP, RELAY_CONECTIONS: "4" }, [
    "RELAY_CONECTIONS",
    "RELAY_CONNECTIONS",
  ]],
  ["both TLS flags", { ...DATABASE, EMAIL_HOST: "smtp.corp", EMAIL_USE_TLS: "1", EMAIL_USE_SSL: "1" }, [
    "EMAIL_USE_TLS",
    "EMAIL_USE_SSL",
  ]],
  ["both SMTP styles", { ...DATABASE, ...SMTP, EMAIL_HOST: "smtp.corp" }, ["SMTP_URL", "EMAIL_HOST"]],
  ["a port that is no number", { ...DATABASE, EMAIL_HOST: "smtp.corp", EMAIL_PORT: "smtp" }, ["EMAIL_PORT"]],
  ["an SMTP_URL with a port that is no number", { ...DATABASE, SMTP_URL: "smtp://smtp.corp:smtp" }, ["SMTP_URL"]],
  ["credentials with tls=none", { ...DATABASE, SMTP_URL: "smtp://user:secret@smtp.corp?tls=none" }, [
    "SMTP_URL",
    "tls",
  ]],
  ["an SMTP server without a database", SMTP, ["DATABASE_URL"]],
  ["a database without an SMTP server", DATABASE, ["SMTP_URL"]],
  ["a second SMTP server without rules", { ...DATABASE, ...SMTP, SMTP_URL_INTERNAL: "smtp://10.0.0.1" }, [
    "SMTP_URL_INTERNAL",
    "RELAY_ROUTES",
  ]],
  ["a rule for a route that is not there", { ...DATABASE, ...SMTP, RELAY_ROUTES: "to:corp.example=internal" }, [
    "RELAY_ROUTES",
    "SMTP_URL_INTERNAL",
  ]],
  ["a duration without a unit", { ...DATABASE, ...SMTP, RELAY_LEASE: "120" }, ["RELAY_LEASE"]],
];

for (const [fault, env, says] of WRONG) {
  test(`${fault} stops the start with one sentence that names it`, async () => {
    using state = temporaryDirectory();
    await using relay = startRelayProcess(["run"], { RELAY_STATE_DIR: state.path, PORT: "0", ...env });
    expect(await relay.exited).toBe(2);
    const output = relay.output().trim();
    for (const word of says) expect(output).toContain(word);
    expect(output.split("\n")).toHaveLength(1);
    expect(output).not.toContain("secret");
  });
}

test("a database that cannot be reached stops the start with one sentence that names the variable", async () => {
  using state = temporaryDirectory();
  await using relay = startRelayProcess(["run"], { RELAY_STATE_DIR: state.path, PORT: "0", ...DATABASE, ...SMTP });
  expect(await relay.exited).toBe(1);
  const last = relay.output().trim().split("\n").at(-1) as string;
  expect(last).toContain("DATABASE_URL");
  expect(last).toContain("127.0.0.1:1/shop");
  expect(relay.output()).not.toContain("secret");
});

test("a schema that is too new stops the start with one sentence that names the version to install", async () => {
  await using database = await createDatabase();
  await database.sql`update mailchute.schema_info set version = 999, oldest_program = '9.0.0'`;
  using state = temporaryDirectory();
  await using relay = startRelayProcess(["run"], {
    RELAY_STATE_DIR: state.path,
    PORT: "0",
    DATABASE_URL: database.url,
    ...SMTP,
  });
  expect(await relay.exited).toBe(1);
  expect(relay.output()).toContain("too new");
  expect(relay.output()).toContain("9.0.0");
});

test("a role that may not migrate is told the command", async () => {
  await using database = await createDatabase({ empty: true });
  const url = await database.as("powerless");
  using state = temporaryDirectory();
  await using relay = startRelayProcess(["run"], {
    RELAY_STATE_DIR: state.path,
    PORT: "0",
    DATABASE_URL: url,
    ...SMTP,
  });
  expect(await relay.exited).toBe(1);
  expect(relay.output()).toContain("run mailchute migrate as the owner of the database");
});
