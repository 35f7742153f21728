import { expect, test } from "bun:test";
import { Settler } from "../../relay/delivery/settler.ts";
import type { Settlement } from "../../relay/queue/queue.ts";
import { ManualClock } from "../manual_clock.ts";

const SETTLEMENT: Settlement = { seq: "7", lease: "1", attempt: 1, next: undefined, outcomes: [], recipients: [] };

/** Settles one message by a database that answers as it is told, and lets time pass until that is done. */
async function settle(answers: readonly (readonly string[])[]): Promise<readonly string[]> {
  const clock = new ManualClock();
  const told: string[] = [];
  const left = [...answers];
  const settler = new Settler({
    settle: () => Promise.resolve(new Set(left.shift())),
    written: (settlements, ours) =>
      told.push(...settlements.map(({ seq }) => `${seq} ${ours.has(seq) ? "written" : "refused"}`)),
    failed: (error) => told.push(String(error)),
    ...{ clock, signal: new AbortController().signal },
  });
  settler.add(SETTLEMENT);
  let isDone = false;
  const drained = settler.drained().then(() => isDone = true);
  while (!isDone) {
    clock.pass(1_000);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  await drained;
  expect(left).toEqual([]);
  return told;
}

test("what is refused is said once more, and counts as written when it is ours by then", async () => {
  expect(await settle([[], ["7"]])).toEqual(["7 written"]);
});

test("what is refused twice is another's", async () => {
  expect(await settle([[], []])).toEqual(["7 refused"]);
});

test("once the database is given up, what it did not take is tried no more: it would keep a program that has stopped its relay", async () => {
  const clock = new ManualClock();
  const gaveUp = new AbortController();
  let asked = 0;
  const settler = new Settler({
    settle: () => (asked++, Promise.reject(new Error("away"))),
    written: () => {},
    failed: () => {},
    ...{ clock, signal: gaveUp.signal },
  });
  settler.add(SETTLEMENT);
  const passes = async () => {
    clock.pass(1_000);
    for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  };
  while (asked < 2) await passes();
  gaveUp.abort();
  await passes();
  const before = asked;
  for (let time = 0; time < 3; time++) await passes();
  expect(asked).toBe(before);
  settler.add({ ...SETTLEMENT, seq: "8" });
  await passes();
  expect(asked).toBe(before);
});

test("what is ours is written once", async () => {
  expect(await settle([["7"]])).toEqual(["7 written"]);
});

test("one that the database cannot store holds up no other: all are written by themselves, and it is tried again last", async () => {
  const clock = new ManualClock();
  const written: string[] = [];
  const batches: string[][] = [];
  let isMended = false;
  const settler = new Settler({
    settle: (settlements) => {
      const seqs = settlements.map(({ seq }) => seq);
      batches.push(seqs);
      if (!isMended && seqs.includes("bad")) return Promise.reject(Object.assign(new Error("no"), { code: "22021" }));
      return Promise.resolve(new Set(seqs));
    },
    written: (settlements) => written.push(...settlements.map(({ seq }) => seq)),
    failed: () => {},
    ...{ clock, signal: new AbortController().signal },
  });
  for (const seq of ["1", "bad", "2"]) settler.add({ ...SETTLEMENT, seq });
  const turn = async () => {
    clock.pass(1_000);
    await new Promise<void>((resolve) => setImmediate(resolve));
  };
  while (batches.length < 5) await turn();
  expect(written).toEqual(["1", "2"]);
  expect(batches).toEqual([["1", "bad", "2"], ["1"], ["bad"], ["2"], ["bad"]]);
  isMended = true;
  while (written.length < 3) await turn();
  expect(written).toEqual(["1", "2", "bad"]);
});
