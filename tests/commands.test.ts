import { expect, test } from "bun:test";
import { PROGRAM_VERSION } from "../relay/version.ts";
import { createDatabase } from "./database.ts";
import { on, run, runProgram, UNKNOWN_ID } from "./command.ts";
import { startRelayProcess, temporaryDirectory } from "./relay_process.ts";
import { newRole } from "./schema/role.ts";
import { startScriptedServer } from "./scripted_server.ts";

// What each command prints for programs (stdout), what it tells people (stderr), and its exit code, most of them as a
// real process. What each one does is in schema/command.test.ts and queue/command.test.ts.

const COMMANDS = [
  "run",
  "migrate",
  "grants",
  "doctor",
  "status",
  "list",
  "show",
  "explain",
  "retry",
  "cancel",
  "batch",
  "suppress",
  "template",
  "send",
  "purge",
  "adopt-copy",
  "healthcheck",
];

test("help names every command, every setting and their defaults, and needs no setting", async () => {
  for (const word of ["help", "--help", "-h"]) {
    const { code, stdout, stderr } = await runProgram([word], { RELAY_CONECTIONS: "wrong" });
    expect({ word, code, stderr }).toEqual({ word, code: 0, stderr: "" });
    for (const name of [...COMMANDS, "DATABASE_URL", "SMTP_URL", "RELAY_CONNECTIONS"]) expect(stdout).toContain(name);
  }
});

test("each command has a help of its own that begins with its usage", async () => {
  const helps = await Promise.all(COMMANDS.map((name) => run([name, "--help"])));
  for (const [index, { code, stdout, stderr }] of helps.entries()) {
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toStartWith(`mailchute ${COMMANDS[index]} `);
  }
});

test("--version prints the version alone", async () => {
  expect(await runProgram(["--version"])).toEqual({ code: 0, stdout: `${PROGRAM_VERSION}\n`, stderr: "" });
});

/** Command lines that make no sense, and what the one sentence names. */
const USAGE: readonly (readonly [fault: string, words: readonly string[], says: string])[] = [
  ["an unknown command", ["sned"], "No command is called sned"],
  ["an unknown option", ["status", "--jsno"], "--jsno"],
  ["an unknown option without a command", ["--onec"], "--onec"],
  ["an option without its value", ["list", "--state"], "--state"],
  ["a word where none is expected", ["status", "home"], "'home'"],
  ["grants without a role", ["grants", "--from", "*"], "grants takes one role"],
  ["grants with two roles", ["grants", "a", "b", "--from", "*"], "grants takes one role"],
  ["grants without --from", ["grants", "web"], "--from"],
  ["grants with a pattern that is no address", ["grants", "web", "--from", "shop.example"], "--from shop.example"],
  ["grants with a pattern with a blank", ["grants", "web", "--from", "a b@shop.example"], "--from a b@shop.example"],
  ["grants with a bad recipient", ["grants", "web", "--from", "*", "--to", "corp"], "--to corp"],
  ["grants with a bad app", ["grants", "web", "--from", "*", "--app", "a b"], "--app a b"],
  ["doctor with a sender and no recipient", ["doctor", "--from", "a@shop.example"], "--send-to"],
  ["purge of nothing in particular", ["purge", "--yes"], "--older-than, --state or --to, or --all"],
  ["purge of open messages", ["purge", "--state", "queued"], "--state queued"],
  ["purge of keys that still live", ["purge", "--older-than", "6d"], "--older-than 6d is too short"],
  ["purge after no duration", ["purge", "--older-than", "30"], "--older-than 30"],
  ["purge in earnest and not", ["purge", "--all", "--yes", "--dry-run"], "one of --dry-run and --yes"],
  ["list with an unknown state", ["list", "--state", "delivered"], "--state delivered"],
  ["list since what is no time", ["list", "--since", "yesterday"], "--since yesterday is no time"],
  ["list of a time that is none", ["list", "--since", "2h", "--until", "3h"], "--since is not before --until"],
  ["list to what is no address", ["list", "--to", "ann"], "--to ann is no address"],
  ["list of no batch", ["list", "--batch", ""], "--batch is empty"],
  ["list after what is no id", ["list", "--after", "7"], "7 is no id"],
  ["cancel of an id and a filter", ["cancel", UNKNOWN_ID, "--state", "queued"], "by their ids or by filters"],
  ["cancel of all without --all", ["cancel", "--yes"], "or --all for everything"],
  ["cancel in earnest and not", ["cancel", "--all", "--yes", "--dry-run"], "one of --dry-run and --yes"],
  ["retry of what everybody has", ["retry", "--state", "sent"], "--state sent: none of these can be retried"],
  ["cancel of what has ended", ["cancel", "--state", "queued", "--state", "bounced", "--yes"], "that is final"],
  ["cancel of what is being sent", ["cancel", "--state", "sending", "--dry-run"], "it is being sent"],
  ["retry of an unknown state", ["retry", "--state", "lost"], "--state lost is no state"],
  ["list with a limit of 0", ["list", "--limit", "0"], "--limit"],
  ["list with a limit one too large", ["list", "--limit", "10001"], "--limit"],
  ["list with a limit that is no number", ["list", "--limit", "many"], "--limit"],
  ["show without an id", ["show"], "Name one message"],
  ["show of what is no id", ["show", "42"], "42 is no id"],
  ["explain without an id", ["explain"], "Name one message"],
  ["batch with two names", ["batch", "a", "b"], "'b'"],
  ["batch with two actions", ["batch", "a", "--pause", "--cancel"], "one of --pause"],
  ["batch without a name", ["batch", "--pause"], "--pause needs the name"],
  ["batch tested with what is no address", ["batch", "a", "--test", "ann"], "--test ann is no address"],
  [
    "batch tested with what is no pair",
    ["batch", "a", "--test", "a@b.example", "--var", "name"],
    "--var name is no pair",
  ],
  ["batch with a variable and no test", ["batch", "a", "--var", "a=b"], "add --test"],
  ["suppress without addresses", ["suppress"], "Name one address"],
  ["suppress of what is no address", ["suppress", "ann"], "ann is no mail address"],
  ["suppress for an unknown reason", ["suppress", "a@b.example", "--reason", "spam"], "--reason spam"],
  ["suppress in no scope", ["suppress", "a@b.example", "--scope", "shop"], '"shop" is none of all, app:NAME'],
  [
    "suppress until yesterday",
    ["suppress", "a@b.example", "--until", "2020-01-01"],
    "--until 2020-01-01 is no time to come",
  ],
  ["suppress with two actions", ["suppress", "--list", "--export"], "one of --list"],
  ["suppress --remove with a reason", ["suppress", "a@b.example", "--remove", "--reason", "bounce"], "--reason has no"],
  ["suppress --list with an end", ["suppress", "--list", "--until", "30d"], "--list takes --scope, --limit"],
  [
    "suppress --export as JSON",
    ["suppress", "--export", "--json"],
    "--json has no meaning here: --export takes --scope",
  ],
  [
    "suppress of an address with --skip-invalid",
    ["suppress", "a@b.example", "--skip-invalid"],
    "take --reason, --scope",
  ],
  ["suppress of addresses and a file", ["suppress", "a@b.example", "--import", "-"], "--import takes no addresses"],
  ["retry without an id or a filter", ["retry"], "or --all for everything"],
  ["cancel of an id with --yes", ["cancel", UNKNOWN_ID, "--yes"], "--yes is for filters"],
  ["retry of an id with --dry-run", ["retry", "--dry-run", UNKNOWN_ID], "--dry-run is for filters"],
  ["cancel of what is no id", ["cancel", UNKNOWN_ID, "x"], "x is no id"],
  ["adopt-copy without a decision", ["adopt-copy"], "--keep"],
  ["adopt-copy with two decisions", ["adopt-copy", "--keep", "--discard"], "--discard"],
  ["adopt-copy with a word", ["adopt-copy", "shop", "--keep"], "'shop'"],
  ["migrate --from that is no number", ["migrate", "--sql", "--from", "two"], "--from"],
  ["migrate --from of a version to come", ["migrate", "--sql", "--from", "9999"], "the version that the schema has"],
  ["migrate --from without --sql", ["migrate", "--from", "3"], "--from is for --sql"],
  ["run with an unknown setting", ["run"], "RELAY_CONECTIONS"],
];

test("a command line that makes no sense exits with 2, one sentence on stderr and nothing on stdout", async () => {
  const env = { DATABASE_URL: "postgres://relay:secret@127.0.0.1:1/shop", RELAY_CONECTIONS: "4" };
  const ran = await Promise.all(USAGE.map(([, words]) => run(words, env)));
  for (const [index, { code, stdout, stderr }] of ran.entries()) {
    const [fault, , says] = USAGE[index] ?? [];
    expect({ fault, code, stdout }).toEqual({ fault, code: 2, stdout: "" });
    expect({ fault, stderr }).toEqual({ fault, stderr: expect.stringContaining(says as string) });
    expect(stderr.trim().split("\n")).toHaveLength(1);
  }
}, 60_000);

test("--database with an unknown name exits with 2 and names those that there are", async () => {
  await using database = await createDatabase();
  const { code, stderr } = await runProgram(["status", "--database", "shop"], on(database));
  expect(code).toBe(2);
  expect(stderr).toContain("No database is called shop: there are home");
});

test("a database that does not answer exits with 1 and names the variable, not the password", async () => {
  const env = { DATABASE_URL: "postgres://relay:secret@127.0.0.1:1/shop" };
  const ran = await Promise.all(
    [["status"], ["list"], ["migrate"], ["show", UNKNOWN_ID]].map((words) => runProgram(words, env)),
  );
  for (const { code, stdout, stderr } of ran) {
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("Cannot use the database 127.0.0.1:1/shop");
    expect(stderr).toContain("check DATABASE_URL");
    expect(stderr).not.toContain("secret");
  }
});

test("wrong settings exit with 2 and a line for each, which says whose it is", async () => {
  const env = { DATABASE_URL: "mysql://localhost/shop", SMTP_URL: "smtps://mx.example:25", RELAY_POLL: "1s" };
  const { code, stdout, stderr } = await runProgram(["run"], env);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  const lines = stderr.trim().split("\n");
  expect(lines.map((line) => line.slice(0, line.indexOf(":", 11)))).toEqual([
    "mailchute: Cannot use SMTP_URL",
    "mailchute: Cannot use DATABASE_URL",
  ]);
});

test("a database without the schema exits with 1 and names the command", async () => {
  await using database = await createDatabase({ empty: true });
  const { code, stderr } = await runProgram(["status"], on(database));
  expect(code).toBe(1);
  expect(stderr).toContain("run mailchute migrate");
});

test("a schema that wants a newer program is changed by no command", async () => {
  await using database = await createDatabase();
  await database.sql`update mailchute.schema_info set oldest_program = '99.0.0'`;
  const { code, stderr } = await runProgram(["suppress", "a@b.example"], on(database));
  expect(code).toBe(1);
  expect(stderr).toContain("is too new and needs mailchute 99.0.0 or later");
  expect(await database.sql`select from mailchute.suppression`).toHaveLength(0);
});

test("a role without the right exits with 1, and names itself, what was refused and who may", async () => {
  await using database = await createDatabase();
  const env = { DATABASE_URL: await database.as(newRole()) };
  const role = new URL(env.DATABASE_URL).username;
  const name = new URL(env.DATABASE_URL).pathname;
  const refused = (what: string) => ({
    ...{ code: 1, stdout: "" },
    stderr: expect.stringMatching(
      new RegExp(
        `The role ${role} may not do that on [^ ]+${name} \\(permission denied for ${what}\\): .* mailchute_admin`,
      ),
    ),
  });
  expect(await runProgram(["status"], env)).toEqual(refused("schema mailchute"));
  await database.sql.unsafe(`grant mailchute_viewer to ${role}`);
  expect(await runProgram(["pause", "--all"], env)).toEqual(refused("table pause"));
  expect((await runProgram(["grants", role, "--from", "*"], env)).stderr).toEndWith(
    "(permission denied for table app_role): do it as the owner of the database\n",
  );
});

test("healthcheck exits with 0 against a running relay and with 1 against none", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  using state = temporaryDirectory();
  await using relay = startRelayProcess(["run"], {
    DATABASE_URL: database.url,
    SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
    RELAY_STATE_DIR: state.path,
    PORT: "0",
  });
  await relay.printed('"msg":"serving"');
  const PORT = /http:\/\/127\.0\.0\.1:(\d+)/.exec(relay.output())?.[1] as string;
  expect(await runProgram(["healthcheck"], { PORT })).toEqual({ code: 0, stdout: "ok\n", stderr: "" });
  expect(await runProgram(["healthcheck", "--ready"], { PORT, HOST: "0.0.0.0" })).toMatchObject({
    code: 0,
    stderr: "",
  });
  relay.kill("SIGTERM");
  expect(await relay.exited).toBe(0);
  const none = await runProgram(["healthcheck"], { PORT });
  expect(none).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringContaining(`http://127.0.0.1:${PORT}/livez`),
  });
});

test("without a database and without a playground a command says what to set", async () => {
  using state = temporaryDirectory();
  const { code, stderr } = await runProgram(["list"], { RELAY_STATE_DIR: state.path });
  expect(code).toBe(2);
  expect(stderr).toContain("set DATABASE_URL=postgres://");
});

test(
  "without DATABASE_URL, commands work on the playground that runs in the state directory, and say so when it has stopped",
  async () => {
    using state = temporaryDirectory();
    const env = { RELAY_STATE_DIR: state.path, PORT: "0" };
    await using playground = startRelayProcess(["run"], env);
    await playground.printed("serving");
    const status = await runProgram(["status"], env);
    expect(status).toMatchObject({ code: 0, stdout: expect.stringContaining("nothing open") });
    expect((await runProgram(["list"], env)).stderr).toBe("No message matches.\n");
    playground.kill("SIGTERM");
    expect(await playground.exited).toBe(0);
    const stopped = await runProgram(["status"], env);
    expect(stopped.code).toBe(1);
    expect(stopped.stderr).toContain("Cannot use the database the playground");
  },
  60_000,
);
