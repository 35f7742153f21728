import { expect, test } from "bun:test";
import { reportTrouble } from "../../relay/delivery/report.ts";
import { createLog } from "../../relay/log.ts";
import { createDatabase } from "../database.ts";
import { run } from "../command.ts";
import { untilLogged } from "../queue/setup.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { describeMessage, enqueue, enqueueMany, openTestRelay, type TestRelay, until } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

type Line = Readonly<Record<string, unknown>> & { readonly level: number; readonly msg: string };

/** What a relay logged about something. */
function said(running: TestRelay, msg: string): readonly Line[] {
  return running.lines.map((line) => JSON.parse(line) as Line).filter((line) => line.msg === msg);
}

test("an outage is a warning at its first mail, one when the route goes out and one line when it ends, however many mails meet it", async () => {
  let isOut = true;
  await using server = await startScriptedServer({
    on: { connect: () => isOut ? { close: "421 4.3.2 down for maintenance" } : undefined },
  });
  await using database = await createDatabase();
  await enqueueMany(database, 30);
  await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: 50 });
  running.relay.start();
  await server.whenConnections(8);
  expect(said(running, "route available again")).toEqual([]);
  isOut = false;
  await server.whenMails(30);
  await untilLogged(database, running, "route available again");
  const [out, ...more] = said(running, "route out");
  expect(more).toEqual([]);
  expect(out).toMatchObject({
    ...{ level: 40, route: "default", code: "shutting_down", phase: "greeting", reply: 421 },
    reason: expect.stringContaining("down for maintenance"),
  });
  expect(said(running, "route unavailable").map(({ level }) => level).filter((level) => level > 20)).toEqual([40]);
  expect(said(running, "route available again")).toEqual([
    expect.objectContaining({ level: 30, route: "default", outForSeconds: expect.any(Number) }),
  ]);
});

test("the remedy names the setting of the route that is out", () => {
  const lines: string[] = [];
  const log = createLog({ write: (line) => lines.push(line), now: () => 0 });
  const trouble = {
    ...{ code: "auth_required", phase: "auth", reason: "It wants a login" } as const,
    fix: "write smtp://user:password@h:587 in SMTP_URL",
  };
  reportTrouble(log, { name: "internal", variable: "SMTP_URL_INTERNAL" }, { trouble, wentOut: true, isFirst: false });
  expect(JSON.parse(lines[0] as string).fix).toEndWith(" in SMTP_URL_INTERNAL");
});

test("an outage that only one mail meets is a warning too, at its third failure", async () => {
  await using server = await startScriptedServer({ on: { connect: () => ({ close: "421 4.3.2 down" }) } });
  await using database = await createDatabase();
  await enqueue(database);
  await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: 50 });
  running.relay.start();
  await untilLogged(database, running, '"route out"');
  await server.whenConnections(5);
  expect(said(running, "route out")).toHaveLength(1);
});

test("a message that did not reach somebody is one line, which says whom, why and by which route, and shows no address", async () => {
  await using server = await startScriptedServer({
    on: {
      rcpt: (address) => {
        if (address.startsWith("gone@")) return `550 5.1.1 <${address}> is unknown here`;
        return address.startsWith("busy@") ? "450 4.2.1 busy" : undefined;
      },
    },
  });
  await using database = await createDatabase();
  const id = await enqueue(database, { to: ["ann@example.com", "gone@example.com", "busy@example.com"] });
  const broken = await enqueue(database);
  await database.sql`update mailchute.content set subject = ${"Hi\r\nBcc: evil@example.com"}
    where id = (select content_id from mailchute.message where id = ${broken})`;
  await enqueue(database, { to: "fine@example.com" });
  await using running = await openTestRelay(database, { smtpPort: server.port, maxAttempts: 1 });
  await running.relay.runOnce();
  const lines = new Map(said(running, "not reached").map((line) => [line.id, line]));
  expect([...lines.keys()].sort()).toEqual([id, broken].sort());
  expect(lines.get(id)).toMatchObject({
    level: 30,
    recipients: [
      { to: "g**@example.com", state: "bounced", code: "5.1.1", route: "default", reason: expect.any(String) },
      { to: "b**@example.com", state: "expired", code: "4.2.1", reason: expect.stringContaining("RELAY_MAX_ATTEMPTS") },
    ],
  });
  expect(lines.get(broken)).toMatchObject({ recipients: [{ to: "a**@example.com", state: "failed" }] });
  expect(running.lines.filter((line) => line.includes("not reached")).join("\n")).not.toMatch(/gone@|busy@|ann@/);
});

test("/readyz, /status, /metrics and the status command name the route that is out, and only that", async () => {
  await using dead = await startScriptedServer({ on: { connect: () => ({ close: "554 5.3.2 nobody home" }) } });
  await using provider = await startScriptedServer();
  await using database = await createDatabase();
  using state = temporaryDirectory();
  const env = {
    DATABASE_URL: database.url,
    SMTP_URL_INTERNAL: `smtp://127.0.0.1:${dead.port}?tls=none`,
    SMTP_URL_PROVIDER: `smtp://127.0.0.1:${provider.port}?tls=none`,
    RELAY_ROUTES: "to:corp.example=internal, *=provider",
    RELAY_STATE_DIR: state.path,
    RELAY_POLL: "1s",
    PORT: "0",
  };
  await using relay = startRelayProcess(["run"], env);
  await relay.printed('"msg":"serving"');
  const [, url = ""] = /"status":"([^"]+)"/.exec(relay.output()) ?? [];
  const ask = async (path: string) => (await fetch(new URL(path, url))).text();
  expect(await ask("readyz")).toBe("ok");

  await enqueue(database, { to: ["ann@corp.example", "bob@example.net"] });
  await until(async () => await ask("readyz") === "not ready: route internal is out", "not ready");
  // A greeting of 5yz is the route's by its nature: one mail is enough.
  expect(relay.output()).toContain('"code":"greeting_refused"');
  await until(async () => (await ask("status")).includes('"sent":1'), "counted");
  const { routes } = JSON.parse(await ask("status")) as { readonly routes: readonly Record<string, unknown>[] };
  expect(routes).toMatchObject([
    { name: "internal", reason: "nobody home", attempts: { sent: 0 } },
    { name: "provider", state: "closed", attempts: { sent: 1 } },
  ]);
  expect(routes[0]?.state).not.toBe("closed");
  const metrics = await ask("metrics");
  expect(metrics).toContain('mailchute_attempts_total{route="provider",result="sent"} 1');
  expect(metrics).toContain('mailchute_route_state{route="internal",state="closed"} 0');

  const PORT = new URL(url).port;
  const text = await run(["status"], { ...env, PORT });
  expect(text.stdout).toMatch(/^route internal: out.* \(nobody home\), \d connections?$/m);
  expect(text.stdout).toMatch(/^route provider: open for mail, 1 connection$/m);
  const [report] = JSON.parse((await run(["status", "--json"], { ...env, PORT })).stdout);
  expect(report.routes.map(({ name }: { readonly name: string }) => name)).toEqual(["internal", "provider"]);
  relay.kill("SIGTERM");
  expect(await relay.exited).toBe(0);
  const [message] = await database.sql`select id::text from mailchute.message`;
  expect((await describeMessage(database, message?.id as string)).state).toBe("queued");
}, 60_000);
