import { expect, test } from "bun:test";
import { type Connector, openSocket } from "../../relay/smtp/connection.ts";
import { DEFAULT_DEADLINES } from "../../relay/smtp/deadline.ts";
import { Deadline } from "../../relay/smtp/timers.ts";
import type { Answer, ScriptedServerOptions } from "../scripted_server.ts";
import { CONTENT, envelopeTo, ManualTimers, NEVER, outcomesOf, setup, troubleIn } from "./setup.ts";

const AUTH = { user: "ann", password: "s3cret" };

/** A server that hangs at one point, and a promise for the moment when it does. */
function hangingAt(
  kind: string,
  script: ScriptedServerOptions = {},
): { script: ScriptedServerOptions; reached: Promise<void> } {
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  const hang = (): Answer => {
    resolve();
    return { hang: true };
  };
  return { script: { ...script, on: { [kind]: hang } }, reached };
}

/**
 * The real connector, and a promise for the moment when the client knows that it is connected: the server knows
 * earlier.
 */
function watchedConnector(): { connector: Connector; connected: Promise<void> } {
  const { promise: connected, resolve } = Promise.withResolvers<void>();
  const connector: Connector = (target, events) =>
    openSocket(target, {
      ...events,
      connected: () => {
        events.connected();
        resolve();
      },
    });
  return { connector, connected };
}

for (
  const [kind, phase, delayMs, script] of [
    ["connect", "greeting", DEFAULT_DEADLINES.greetingMs, {}],
    ["ehlo", "ehlo", DEFAULT_DEADLINES.ehloMs, {}],
    ["starttls", "starttls", DEFAULT_DEADLINES.startTlsMs, { tls: "starttls" }],
    ["auth", "auth", DEFAULT_DEADLINES.authMs, { auth: AUTH }],
    ["mail", "mail", DEFAULT_DEADLINES.mailMs, {}],
  ] as const
) {
  test(`no reply at ${kind} is trouble after exactly ${delayMs} ms`, async () => {
    const timers = new ManualTimers();
    const { script: hanging, reached } = hangingAt(kind, script);
    const options = "tls" in script
      ? { tls: "required" } as const
      : "auth" in script
      ? { auth: AUTH, allowPlaintextAuth: true }
      : {};
    const { connector, connected } = watchedConnector();
    await using relay = await setup(hanging, { ...options, rim: { timers, connector } });
    const sending = relay.send("ann@corp.example");
    let isDone = false;
    void sending.then(() => (isDone = true));
    await Promise.all([reached, connected]);
    timers.advance(delayMs - 1);
    await Promise.resolve();
    expect(isDone).toBe(false);
    timers.advance(1);
    expect(troubleIn(await sending)).toMatchObject({ code: "timeout", phase });
  });
}

for (
  const [kind, outcome, delayMs] of [
    ["rcpt", "deferred rcpt network none", DEFAULT_DEADLINES.rcptMs],
    ["data", "deferred data network none", DEFAULT_DEADLINES.dataMs],
    ["content", "uncertain final network none", DEFAULT_DEADLINES.finalMs],
  ] as const
) {
  test(`no reply at ${kind} is "${outcome}" after exactly ${delayMs} ms`, async () => {
    const timers = new ManualTimers();
    const { script, reached } = hangingAt(kind, { offer: [] });
    await using relay = await setup(script, { rim: { timers } });
    const sending = relay.send("ann@corp.example");
    let isDone = false;
    void sending.then(() => (isDone = true));
    await reached;
    timers.advance(delayMs - 1);
    await Promise.resolve();
    expect(isDone).toBe(false);
    timers.advance(1);
    expect(outcomesOf(await sending)).toEqual([outcome]);
  });
}

test("a black hole is connect_timeout after exactly connectMs", async () => {
  const timers = new ManualTimers();
  let closed = 0;
  const blackHole: Connector = () => ({
    isStarved: false,
    write: () => undefined,
    stream: () => undefined,
    flush: () => undefined,
    startTls: () => undefined,
    close: () => closed++,
    tlsFacts: () => undefined,
  });
  await using relay = await setup({}, { rim: { timers, connector: blackHole }, timeouts: { connectMs: 7_000 } });
  const sending = relay.send("ann@corp.example");
  timers.advance(6_999);
  expect(closed).toBe(0);
  timers.advance(1);
  expect(closed).toBe(1);
  expect(troubleIn(await sending)).toMatchObject({ code: "connect_timeout", phase: "connect" });
  expect(timers.count).toBe(0);
});

test("a handshake that stalls is trouble after startTlsMs", async () => {
  const timers = new ManualTimers();
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  await using relay = await setup({
    tls: "starttls",
    on: {
      starttls: async () => {
        relay.server.interject("220 go\r\n");
        // The first record of TLS, a client hello (RFC 8446 section 5.1): the client is in its handshake.
        await relay.server.whenSaid("STARTTLS\r\n\x16\x03");
        resolve();
        return { hang: true };
      },
    },
  }, { tls: "required", rim: { timers } });
  const sending = relay.send("ann@corp.example");
  await reached;
  timers.advance(DEFAULT_DEADLINES.startTlsMs);
  expect(troubleIn(await sending)).toMatchObject({ code: "timeout", phase: "starttls" });
});

test("a slow server that reads on is not given up: every slice moves the deadline", async () => {
  const timers = new ManualTimers();
  let slices = 0;
  // Between two slices passes almost all the time there is; together it is many times too much.
  const slowly: Connector = (target, events) =>
    openSocket(target, {
      ...events,
      progressed: () => {
        slices++;
        timers.advance(DEFAULT_DEADLINES.bodyMs - 1);
        events.progressed();
      },
    });
  await using relay = await setup({}, { rim: { timers, connector: slowly } });
  const content = new Uint8Array(1_000_000).fill(0x78);
  expect(outcomesOf(await relay.transport.send(envelopeTo("ann@corp.example"), content, NEVER))).toEqual([
    "sent final 250",
  ]);
  expect(slices).toBeGreaterThanOrEqual(15);
});

test("a content that does not come in time is our own trouble, and not the server's: it costs no attempt", async () => {
  const timers = new ManualTimers();
  const starved = Promise.withResolvers<void>();
  const never = Promise.withResolvers<void>();
  await using relay = await setup({}, { rim: { timers } });
  const sending = relay.transport.send(envelopeTo("ann@corp.example"), {
    sizeBytes: 100_000,
    needsSmtpUtf8: false,
    opening: CONTENT,
    async *chunks() {
      yield CONTENT;
      starved.resolve();
      await never.promise;
    },
  }, NEVER);
  const ended = sending.then(outcomesOf, (error) => error.message);
  await starved.promise;
  timers.advance(DEFAULT_DEADLINES.bodyMs);
  expect(await ended).toBe("The content did not come in time");
  expect(relay.server.mails).toHaveLength(0);
  never.resolve();
});

test("a server that stops reading is deferred after bodyMs without progress", async () => {
  const timers = new ManualTimers();
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  await using relay = await setup({
    bodyBytes: 1_000_000,
    on: {
      body: () => {
        resolve();
        return { hang: true };
      },
    },
  }, { rim: { timers } });
  const sending = relay.transport.send(envelopeTo("ann@corp.example"), new Uint8Array(40_000_000).fill(0x78), NEVER);
  await reached;
  // Whatever the kernel still takes counts as progress; a deadline later than that passes.
  let delivery: Awaited<typeof sending> | undefined;
  void sending.then((settled) => (delivery = settled));
  while (delivery === undefined) {
    timers.advance(DEFAULT_DEADLINES.bodyMs);
    await new Promise(setImmediate);
  }
  expect(outcomesOf(delivery)).toEqual(["deferred body network none"]);
});

test("a reply that drips in does not move its deadline", async () => {
  const timers = new ManualTimers();
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  await using relay = await setup({
    on: {
      ehlo: () => {
        resolve();
        return { raw: "250-sc" };
      },
    },
  }, { rim: { timers } });
  const sending = relay.send("ann@corp.example");
  await reached;
  for (let second = 0; second < 60; second++) {
    relay.server.interject("x");
    await new Promise(setImmediate);
    timers.advance(999);
    expect(relay.server.openCount).toBe(1);
    timers.advance(1);
  }
  expect(troubleIn(await sending)).toMatchObject({ code: "timeout", phase: "ehlo" });
});

test("an idle connection ends with QUIT after idleMs, and QUIT is not awaited for longer than quitMs", async () => {
  const timers = new ManualTimers();
  const { script, reached } = hangingAt("quit");
  await using relay = await setup(script, { rim: { timers } });
  await relay.send("ann@corp.example");
  timers.advance(DEFAULT_DEADLINES.idleMs - 1);
  expect(relay.dialogue).not.toContain("C: QUIT");
  timers.advance(1);
  await reached;
  expect(relay.server.openCount).toBe(1);
  timers.advance(DEFAULT_DEADLINES.quitMs);
  await relay.server.whenEmpty();
  expect(timers.count).toBe(0);
});

test("a deadline that only moves later costs no new timer", () => {
  const timers = new ManualTimers();
  let started = 0;
  let passed = 0;
  const deadline = new Deadline({
    nowMs: () => timers.nowMs(),
    start: (callback, delayMs) => {
      started++;
      return timers.start(callback, delayMs);
    },
    stop: (handle) => timers.stop(handle),
  }, () => passed++);
  for (let second = 0; second < 100; second++) {
    deadline.set(120_000);
    timers.advance(1_000);
  }
  expect(started).toBe(1);
  timers.advance(118_999);
  expect([started, passed]).toEqual([2, 0]);
  timers.advance(1);
  expect(passed).toBe(1);
  deadline.set(10);
  deadline.stop();
  timers.advance(1_000);
  expect([passed, timers.count]).toEqual([1, 0]);
});

test("a mail leaves no timer of its own behind", async () => {
  const timers = new ManualTimers();
  await using relay = await setup({}, { rim: { timers } });
  for (let mail = 0; mail < 20; mail++) await relay.transport.send(envelopeTo("ann@corp.example"), CONTENT, NEVER);
  expect(timers.count).toBe(1);
});
