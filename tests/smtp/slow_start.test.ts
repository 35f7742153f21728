import { expect, test } from "bun:test";
import { SlowStart } from "../../relay/smtp/slow_start.ts";
import { ManualTimers, outcomesOf, setup } from "./setup.ts";

test("a server gets five connections at first, and one more for each round of mails that it answers", () => {
  const start = new SlowStart(new ManualTimers(), 20, () => undefined);
  const limits = [start.limit];
  for (let mail = 0; mail < 30; mail++) {
    start.answered();
    limits.push(start.limit);
  }
  expect(limits[0]).toBe(5);
  expect(limits[6]).toBe(6);
  expect(limits[30]).toBe(9);
  for (let mail = 0; mail < 500; mail++) start.answered();
  expect(start.limit).toBe(20);
});

test("fewer connections than five are the limit from the start", () => {
  expect(new SlowStart(new ManualTimers(), 2, () => undefined).limit).toBe(2);
});

test("a refused connection is asked for again after a second, then ever more rarely, and at once after one that stood", () => {
  const timers = new ManualTimers();
  let resumed = 0;
  const start = new SlowStart(timers, 20, () => resumed++);
  for (const pauseMs of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
    start.refused(3);
    expect({ limit: start.limit, isPausing: start.isPausing }).toEqual({ limit: 3, isPausing: true });
    timers.advance(pauseMs - 1);
    expect(start.isPausing).toBe(true);
    timers.advance(1);
    expect({ limit: start.limit, isPausing: start.isPausing }).toEqual({ limit: 4, isPausing: false });
  }
  expect(resumed).toBe(8);
  start.opened();
  start.refused(3);
  timers.advance(1_000);
  expect(resumed).toBe(9);
});

test("of twenty connections that may be open, a server that answers slowly sees five", async () => {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  await using relay = await setup({ on: { content: () => promise } }, { connections: 20 });
  const sending = Array.from({ length: 40 }, () => relay.send("ann@corp.example"));
  await relay.server.whenConnections(5);
  expect(relay.transport.openConnections()).toBe(5);
  resolve(undefined);
  for (const delivery of await Promise.all(sending)) expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
  expect(relay.server.transcripts.length).toBeGreaterThan(5);
});
