import { expect, test } from "bun:test";
import { delay, unlessAborted } from "../../relay/time/delay.ts";
import { ManualClock } from "../manual_clock.ts";

/** A signal that counts who listens to it. */
function countedSignal() {
  const controller = new AbortController();
  const { signal } = controller;
  const counted = { abort: () => controller.abort(), signal, listeners: 0 };
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  signal.addEventListener = (...call: Parameters<typeof add>) => {
    counted.listeners++;
    add(...call);
  };
  signal.removeEventListener = (...call: Parameters<typeof remove>) => {
    counted.listeners--;
    remove(...call);
  };
  return counted;
}

test("a delay ends after its time or at the signal, and leaves nothing behind on either", async () => {
  const clock = new ManualClock();
  const counted = countedSignal();
  const first = delay(clock, 1_000, counted.signal);
  expect(counted.listeners).toBe(1);
  clock.pass(1_000);
  await first;
  expect(counted.listeners).toBe(0);
  const second = delay(clock, 1_000, counted.signal);
  counted.abort();
  await second;
  expect(counted.listeners).toBe(0);
  await delay(clock, 1_000, counted.signal);
  expect(counted.listeners).toBe(0);
});

test("what is waited for unless a signal comes first leaves nothing behind on it", async () => {
  const counted = countedSignal();
  expect(await unlessAborted(Promise.resolve(7), counted.signal)).toBe(7);
  const failing = unlessAborted(Promise.reject(new Error("gone")), counted.signal);
  expect(await failing.catch((error: Error) => error.message)).toBe("gone");
  expect(counted.listeners).toBe(0);
  const late = Promise.withResolvers<number>();
  const waiting = unlessAborted(late.promise, counted.signal);
  counted.abort();
  expect(await waiting).toBeUndefined();
  // Nobody hears of it any more.
  late.reject(new Error("too late"));
  expect(counted.listeners).toBe(0);
});
