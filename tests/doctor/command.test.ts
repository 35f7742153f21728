import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createDatabase } from "../database.ts";
import { run } from "../command.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { startScriptedServer, TEST_AUTHORITY } from "../scripted_server.ts";

// The command as a real process: what it prints, its exit code, and that it disturbs nobody.

const LOGIN = { user: "ann", password: "s3cret-smtp" };

test("doctor looks at everything while the relay runs, says who serves, and exits with 0", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  using state = temporaryDirectory();
  const env = {
    DATABASE_URL: database.url,
    SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
    RELAY_STATE_DIR: state.path,
    PORT: "0",
  };
  await using relay = startRelayProcess(["run"], env);
  await relay.printed('"msg":"serving"');
  const { code, stdout, stderr } = await run(["doctor"], env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "0 failed, 1 to look at, 20 fine\n" });
  for (const subject of ["settings", "this machine", "database home (127.0.0.1:", "route default"]) {
    expect(stdout.split("\n").some((line) => line.startsWith(subject))).toBe(true);
  }
  expect(stdout).toContain(`(pid ${relay.pid}, `);
  relay.kill("SIGTERM");
  expect(await relay.exited).toBe(0);
}, 60_000);

test("doctor speaks with every route, and --route with one", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  using state = temporaryDirectory();
  const env = {
    DATABASE_URL: database.url,
    SMTP_URL_INTERNAL: `smtp://127.0.0.1:${server.port}?tls=none`,
    SMTP_URL_PROVIDER: `smtp://ann:s3cret@127.0.0.1:${server.port}?tls=none&insecure-auth=yes`,
    RELAY_ROUTES: "to:corp.example=internal, *=provider",
    RELAY_STATE_DIR: state.path,
  };
  const all = await run(["doctor"], env);
  expect(all.code).toBe(1);
  expect(all.stdout).toContain("route internal");
  // The remedy names the setting of this route.
  expect(all.stdout).toContain("SMTP_URL_PROVIDER");
  const one = await run(["doctor", "--route", "internal"], env);
  expect(one.code).toBe(0);
  expect(one.stdout).not.toContain("route provider");
  const none = await run(["doctor", "--route", "default"], env);
  expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining("there are internal, provider") });
}, 60_000);

test("--json prints the same findings for programs, and nothing else on stdout", async () => {
  await using server = await startScriptedServer();
  await using database = await createDatabase();
  using state = temporaryDirectory();
  const { code, stdout } = await run(["doctor", "--json"], {
    DATABASE_URL: database.url,
    SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
    RELAY_STATE_DIR: state.path,
  });
  expect(code).toBe(0);
  const findings = JSON.parse(stdout) as readonly Record<string, unknown>[];
  expect(findings.length).toBeGreaterThan(15);
  expect(findings).toContainEqual({
    subject: "route default",
    check: "connection",
    level: "ok",
    found: `127.0.0.1 port ${server.port} answers`,
  });
  for (const finding of findings) {
    expect(["ok", "warn", "fail"]).toContain(finding.level as string);
    expect(typeof finding.fix).toBe(finding.level === "ok" ? "undefined" : "string");
  }
});

test("doctor exits with 1 when something fails, looks at the rest all the same, and shows no password", async () => {
  await using server = await startScriptedServer({ tls: "starttls", auth: { user: "ann", password: "other" } });
  using state = temporaryDirectory();
  const ca = join(state.path, "ca.pem");
  writeFileSync(ca, TEST_AUTHORITY.ca);
  const { code, stdout, stderr } = await run(["doctor"], {
    DATABASE_URL: "postgres://relay:s3cret-db@127.0.0.1:1/shop",
    SMTP_URL: `smtp://${LOGIN.user}:${LOGIN.password}@localhost:${server.port}?ca=${ca}`,
    RELAY_STATE_DIR: state.path,
  });
  expect(code).toBe(1);
  expect(stderr).toStartWith("2 failed");
  expect(stdout).toContain("fail  connection    no answer from 127.0.0.1:1/shop: ");
  expect(stdout).toContain("fail  login         localhost does not accept user and password (535)");
  expect(stdout + stderr).not.toContain("s3cret");
});

test("settings that stop the start are the first line, and the databases are looked at all the same", async () => {
  await using database = await createDatabase();
  const env = { DATABASE_URL: database.url, SMTP_URL: "smtps://mx.example:25" };
  const { code, stdout } = await run(["doctor"], env);
  expect(code).toBe(1);
  expect(stdout).toContain("fail  settings      Cannot use SMTP_URL: smtps:// is TLS from the first byte");
  expect(stdout).toContain("→ write smtp:// with port 25 for STARTTLS");
  expect(stdout).toContain("ok    rights");
  const unknown = await run(["doctor"], { ...env, RELAY_CONECTIONS: "4" });
  expect(unknown.code).toBe(1);
  expect(unknown.stdout).toContain("Cannot use RELAY_CONECTIONS");
  // Each with its own fix.
  expect(unknown.stdout).toContain("→ did you mean RELAY_CONNECTIONS?");
  expect(unknown.stdout).toContain("→ write smtp:// with port 25 for STARTTLS");
});

test("--send-to sends a real mail over the route, and tells when it could not", async () => {
  await using server = await startScriptedServer({
    on: { rcpt: (address) => address.startsWith("bob@") ? "554 5.7.1 Relay access denied" : undefined },
  });
  await using database = await createDatabase();
  using state = temporaryDirectory();
  const env = {
    DATABASE_URL: database.url,
    SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
    RELAY_STATE_DIR: state.path,
    RELAY_RETURN_PATH: "bounces@shop.example",
  };
  const from = ["--from", "Shop <shop@shop.example>"];
  const sent = await run(["doctor", "--send-to", "ann@corp.example", ...from, "--route", "default"], env);
  expect(sent).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("ann@corp.example: sent, the server said: 250"),
  });
  expect(server.mails).toMatchObject([{ recipients: ["ann@corp.example"], reversePath: "bounces@shop.example" }]);
  expect(server.mails[0]?.content).toContain("From: Shop <shop@shop.example>\r\n");
  const denied = await run(["doctor", "--send-to", "bob@corp.example"], env);
  expect(denied).toMatchObject({ code: 1, stdout: expect.stringContaining("does not send mail onwards for us (554)") });
  const [row] = await database.sql`select count(*)::int as count from mailchute.message`;
  expect(row?.count).toBe(0);
});

test("a test mail is not tried over a route that is out", async () => {
  using state = temporaryDirectory();
  const env = {
    DATABASE_URL: "postgres://a:b@127.0.0.1:1/c",
    SMTP_URL: "smtp://127.0.0.1:1",
    RELAY_STATE_DIR: state.path,
  };
  const { code, stdout } = await run(["doctor", "--send-to", "ann@corp.example", "--from", "a@shop.example"], env);
  expect(code).toBe(1);
  expect(stdout).toContain("fail  test mail     not sent: the route is out");
});

test("a command line that makes no sense exits with 2", async () => {
  const env = { DATABASE_URL: "postgres://a:b@127.0.0.1:1/c", SMTP_URL: "smtp://127.0.0.1:1" };
  for (
    const [words, says] of [
      [["--send-to", "ann@corp.example"], "--send-to needs --from ADDRESS"],
      [["--send-to", "ann", "--from", "a@shop.example"], "--send-to ann is no address"],
      [["--send-to", "ann@corp.example", "--from", "shop"], "--from shop is no address"],
      [["--route", "bulk"], "No route is called bulk: there are default"],
    ] as const
  ) {
    const { code, stdout, stderr } = await run(["doctor", ...words], env);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(says);
  }
});

test("without settings doctor looks at the playground, whether it runs or has never run", async () => {
  using state = temporaryDirectory();
  const env = { RELAY_STATE_DIR: state.path, PORT: "0" };
  const never = await run(["doctor"], env);
  expect(never.code).toBe(0);
  expect(never.stdout).toContain("the embedded Postgres has never run here");
  await using playground = startRelayProcess(["run"], env);
  await playground.printed("serving");
  const runs = await run(["doctor"], env);
  expect(runs.code).toBe(0);
  expect(runs.stdout).toContain(`(pid ${playground.pid}, `);
  expect(runs.stdout).toContain("ok    playground");
  playground.kill("SIGTERM");
  expect(await playground.exited).toBe(0);
  const stopped = await run(["doctor"], env);
  expect(stopped).toMatchObject({ code: 0, stdout: expect.stringContaining("does not run now") });
  // The other commands say the same, and not "check DATABASE_URL".
  const status = await run(["status"], env);
  expect(status).toMatchObject({ code: 1, stderr: expect.stringContaining("start the relay (mailchute run)") });
}, 60_000);
