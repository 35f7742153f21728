import { expect, test } from "bun:test";
import { advised } from "../../relay/delivery/advised_transport.ts";
import { createLog } from "../../relay/log.ts";
import type { Clock } from "../../relay/time/clock.ts";
import { createDatabase } from "../database.ts";
import { startRelayProcess, temporaryDirectory } from "../relay_process.ts";
import { enqueueMany } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { CONTENT, envelopeTo, NEVER, outcomesOf, setup, troubleIn } from "../smtp/setup.ts";

/** A clock that a test moves; nobody waits on it here. */
function manualClock(): Clock & { nowMs: number } {
  const clock = { nowMs: 0, now: () => clock.nowMs, after: () => () => undefined };
  return clock;
}

test("a problem of many mails is told once a minute with what to change, and how often it was since", async () => {
  await using relay = await setup({ on: { rcpt: () => "554 5.7.1 Relay access denied" } });
  const lines: string[] = [];
  const clock = manualClock();
  const log = createLog({ write: (line) => lines.push(line), now: () => 0 });
  const facts = { host: "smtp.example", port: 25, tls: "none", hasCredentials: false } as const;
  const transport = advised(relay.transport, { route: "bulk", variable: "SMTP_URL_BULK", facts, log, clock });
  const send = () => transport.send(envelopeTo("ann@corp.example", "bob@corp.example"), CONTENT, NEVER);
  expect(outcomesOf(await send())).toEqual(["bounced rcpt recipient 554", "bounced rcpt recipient 554"]);
  await send();
  expect(lines.map((line) => JSON.parse(line))).toEqual([{
    level: 40,
    time: 0,
    msg: "mails are refused",
    route: "bulk",
    phase: "rcpt",
    problem: "The server does not send mail onwards for us (554)",
    reason: "Relay access denied",
    fix: expect.stringContaining("mynetworks), or write user and password into SMTP_URL_BULK"),
  }]);
  clock.nowMs = 60_000;
  await send();
  expect(lines.slice(1).map((line) => JSON.parse(line))).toMatchObject([{ alsoSinceLast: 3 }]);
});

test("what concerns one recipient or one mail is not the log's business, and trouble passes as it is", async () => {
  await using relay = await setup({ on: { rcpt: () => "550 5.1.1 no such user" } });
  const lines: string[] = [];
  const log = createLog({ write: (line) => lines.push(line), now: () => 0 });
  const facts = { host: "smtp.example", port: 25, tls: "none", hasCredentials: false } as const;
  const transport = advised(relay.transport, {
    route: "default",
    variable: "SMTP_URL",
    facts,
    log,
    clock: manualClock(),
  });
  const send = () => transport.send(envelopeTo("ann@corp.example"), CONTENT, NEVER);
  expect(outcomesOf(await send())).toEqual(["bounced rcpt recipient 550"]);
  await relay.server.close();
  expect(troubleIn(await send()).code).toMatch(/^(connect_refused|closed)$/);
  expect(lines).toEqual([]);
});

test("a relay says in its log what to change when its sender is refused, and when its route is out", async () => {
  await using database = await createDatabase();
  await enqueueMany(database, 2);
  await using server = await startScriptedServer({ on: { mail: () => "550 5.7.1 sender not verified" } });
  using state = temporaryDirectory();
  const env = { DATABASE_URL: database.url, RELAY_STATE_DIR: state.path };
  await using refused = startRelayProcess(["run", "--once"], {
    ...env,
    SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
  });
  expect(await refused.exited).toBe(0);
  const told = refused.output().split("\n").filter((line) => line.includes("mails are refused"));
  expect(told).toHaveLength(1);
  expect(told[0]).toContain("send from an address that this server or account may use");

  await enqueueMany(database, 5);
  await using out = startRelayProcess(["run", "--once"], { ...env, SMTP_URL: "smtp://127.0.0.1:1?tls=none" });
  expect(await out.exited).toBe(75);
  const line = out.output().split("\n").find((each) => each.includes("route out"));
  expect(line).toContain("correct the port in SMTP_URL");
}, 60_000);
