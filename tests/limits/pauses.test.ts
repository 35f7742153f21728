import { expect, test } from "bun:test";
import type { Pause } from "../../relay/limits/pause.ts";
import { Pauses } from "../../relay/limits/pauses.ts";
import { ManualClock } from "../manual_clock.ts";

// What a relay knows of pauses, by a clock that the test turns and a home database that answers when the test says so.

const POLL_MS = 5_000;

class Home {
  paused: readonly string[] = [];
  isResting = false;
  changes = 0;
  readonly said: string[] = [];
  /** Reads that wait for their answer, in order. */
  readonly asked: PromiseWithResolvers<readonly Pause[]>[] = [];

  readonly clock: ManualClock = new ManualClock();

  static async open(...paused: readonly string[]): Promise<{ readonly home: Home; readonly pauses: Pauses }> {
    const home = new Home();
    home.paused = paused;
    const opening = Pauses.open({
      read: () => {
        const asked = Promise.withResolvers<readonly Pause[]>();
        home.asked.push(asked);
        return asked.promise;
      },
      mayRead: () => !home.isResting,
      onChange: () => home.changes++,
      pollMs: POLL_MS,
      clock: home.clock,
      log: { info: (what, { pause } = {}) => void home.said.push(`${what} ${pause}`), debug: () => {} },
    });
    home.answer();
    return { home, pauses: await opening };
  }

  /** Answers the read that has waited longest with what is paused now. */
  answer(): void {
    this.asked.shift()?.resolve(this.paused.map((key) => ({ key, since: new Date(0), by: "ops" })));
  }
}

test("what is paused is known before anything is claimed, and read again only when the poll has passed", async () => {
  const { home, pauses } = await Home.open("all", "stream=bulk");
  expect(pauses.stopAll).toBe(true);
  expect([...pauses.keys]).toEqual(["all", "stream=bulk"]);
  expect(home.said).toEqual(["paused all", "paused stream=bulk"]);
  home.clock.pass(POLL_MS * 0.8);
  await pauses.refresh();
  expect(home.asked).toEqual([]);
  home.clock.pass(POLL_MS * 0.2);
  home.paused = ["stream=bulk"];
  const refreshed = pauses.refresh();
  expect(home.asked).toHaveLength(1);
  home.answer();
  await refreshed;
  expect(pauses.stopAll).toBe(false);
  expect(home.said.slice(2)).toEqual(["resumed all"]);
  expect(home.changes).toBe(1);
});

test("what is the same as before is no change", async () => {
  const { home, pauses } = await Home.open("stream=bulk");
  const rung = pauses.ring();
  home.answer();
  await rung;
  expect({ changes: home.changes, said: home.said }).toEqual({ changes: 0, said: ["paused stream=bulk"] });
});

test("a ring while a read is under way, which may have looked before, is followed by another read", async () => {
  const { home, pauses } = await Home.open();
  const first = pauses.ring();
  const second = pauses.ring();
  home.answer();
  home.paused = ["all"];
  // The second read begins as soon as the first is answered.
  while (home.asked.length === 0) await Promise.resolve();
  home.answer();
  await Promise.all([first, second]);
  expect(pauses.stopAll).toBe(true);
  expect(home.asked).toEqual([]);
  // And a ring after all that begins one more.
  void pauses.ring();
  expect(home.asked).toHaveLength(1);
});

test("while the home database is silent or away, those known last hold, and nobody waits for it more than once", async () => {
  const { home, pauses } = await Home.open("stream=bulk");
  home.clock.pass(POLL_MS);
  let isOver = false;
  const refreshed = pauses.refresh().then(() => isOver = true);
  home.clock.pass(1_999);
  await Promise.resolve();
  expect(isOver).toBe(false);
  home.clock.pass(1);
  await refreshed;
  home.clock.pass(POLL_MS);
  await pauses.refresh();
  expect([...pauses.keys]).toEqual(["stream=bulk"]);
  // The read that is under way fails, and the next one is begun without anybody waiting for it.
  home.asked.shift()?.reject(new Error("no connection"));
  while (home.asked.length === 0) {
    home.clock.pass(POLL_MS);
    await pauses.refresh();
  }
  home.paused = [];
  home.answer();
  while (pauses.keys.size > 0) await Promise.resolve();
  expect(home.said).toEqual(["paused stream=bulk", "resumed stream=bulk"]);
});

test("a home database that may sleep is not asked, and is right after its rest", async () => {
  const { home, pauses } = await Home.open();
  home.isResting = true;
  home.clock.pass(POLL_MS * 100);
  await pauses.refresh();
  expect(home.asked).toEqual([]);
  home.isResting = false;
  home.paused = ["all"];
  const refreshed = pauses.refresh();
  home.answer();
  await refreshed;
  expect(pauses.stopAll).toBe(true);
});
