import { expect, test } from "bun:test";
import { Solitude } from "../../relay/delivery/solitude.ts";

const NEVER = new AbortController().signal;

/** Timers that go off when the test says so. */
function setup() {
  const timers: { readonly delayMs: number; readonly call: () => void; isOff: boolean }[] = [];
  const solitude = new Solitude({
    after: (delayMs, call) => {
      const timer = { delayMs, call, isOff: false };
      timers.push(timer);
      return () => void (timer.isOff = true);
    },
  });
  const fire = () => {
    const timer = timers.findLast(({ isOff }) => !isOff);
    if (timer === undefined) throw new Error("No timer is set");
    timer.isOff = true;
    timer.call();
    return timer.delayMs;
  };
  return { solitude, fire };
}

/** What has been answered so far. */
async function answerOf(entered: boolean | Promise<boolean>): Promise<boolean | undefined> {
  return await Promise.race([entered, Promise.resolve().then(() => Promise.resolve(undefined))]);
}

test("one that has to be alone waits for those in flight, keeps the others waiting, and they come before the next of its kind", async () => {
  const { solitude } = setup();
  expect([solitude.enter(NEVER), solitude.enter(NEVER)]).toEqual([true, true]);
  const [alone, nextAlone] = [solitude.enterAlone(NEVER), solitude.enterAlone(NEVER)];
  const other = solitude.enter(NEVER);
  solitude.leave();
  expect([await answerOf(alone), await answerOf(other)]).toEqual([undefined, undefined]);
  solitude.leave();
  expect([await alone, await answerOf(other), await answerOf(nextAlone)]).toEqual([true, undefined, undefined]);
  solitude.leave();
  expect([await other, await answerOf(nextAlone)]).toEqual([true, undefined]);
  solitude.leave();
  expect(await nextAlone).toBe(true);
  solitude.leave();
  expect(solitude.enter(NEVER)).toBe(true);
});

test("the one that is alone may let the others in, and is in flight among them from then on", async () => {
  const { solitude } = setup();
  await solitude.enterAlone(NEVER);
  const other = solitude.enter(NEVER);
  solitude.letOthersIn();
  expect(await other).toBe(true);
  const next = solitude.enterAlone(NEVER);
  solitude.leave();
  expect(await answerOf(next)).toBeUndefined();
  solitude.leave();
  expect(await next).toBe(true);
});

test("nobody waits for long on behalf of one that cannot be alone: it gives up, each time after twice as long", async () => {
  const { solitude, fire } = setup();
  solitude.enter(NEVER);
  const waits: number[] = [];
  for (let time = 0; time < 3; time++) {
    const alone = solitude.enterAlone(NEVER);
    const other = solitude.enter(NEVER);
    waits.push(fire());
    expect([await alone, await other]).toEqual([false, true]);
  }
  expect(waits).toEqual([5_000, 10_000, 20_000]);
});

test("who gives up behind one that is alone makes nobody wait for longer", async () => {
  const { solitude, fire } = setup();
  await solitude.enterAlone(NEVER);
  const behind = solitude.enterAlone(NEVER);
  const patienceMs = fire();
  expect(await behind).toBe(false);
  solitude.leave();
  solitude.enter(NEVER);
  const next = solitude.enterAlone(NEVER);
  expect(fire()).toBe(patienceMs);
  expect(await next).toBe(false);
});

test("who waits is sent away when the relay stops", async () => {
  const { solitude } = setup();
  const stop = new AbortController();
  await solitude.enterAlone(NEVER);
  const waiting = [solitude.enter(stop.signal), solitude.enterAlone(stop.signal)];
  stop.abort();
  expect(await Promise.all(waiting)).toEqual([false, false]);
  expect(await solitude.enter(stop.signal)).toBe(false);
});
