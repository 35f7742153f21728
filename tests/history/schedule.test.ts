import { expect, test } from "bun:test";
import { faultOf } from "./mail_fault.ts";
import { describeFault, makeSchedule } from "./schedule.ts";

const OPTIONS = { lastsMs: 10_000, leaseMs: 3_000 };

test("one seed makes one schedule, and another seed another", () => {
  expect(makeSchedule({ seed: 7, ...OPTIONS })).toEqual(makeSchedule({ seed: 7, ...OPTIONS }));
  expect(makeSchedule({ seed: 7, ...OPTIONS })).not.toEqual(makeSchedule({ seed: 8, ...OPTIONS }));
});

test("each kind of fault comes in each run, at a time of the run, and a freeze outlasts the lease", () => {
  for (let seed = 0; seed < 200; seed++) {
    const schedule = makeSchedule({ seed, ...OPTIONS });
    expect(new Set(schedule.map(({ kind }) => kind)).size).toBe(8);
    for (const fault of schedule) {
      expect(fault.atMs).toBeLessThan(OPTIONS.lastsMs);
      if (fault.kind === "freeze") expect(fault.forMs).toBeGreaterThan(OPTIONS.leaseMs);
    }
  }
});

test("a longer run has more of everything", () => {
  const schedule = makeSchedule({ seed: 1, lastsMs: 60_000, leaseMs: 5_000 });
  expect(schedule.length).toBe(50);
  expect(schedule.filter(({ kind }) => kind === "freeze").length).toBeGreaterThan(3);
});

test("a fault is told in one line", () => {
  expect(describeFault({ kind: "kill", relay: "b", losesState: true, atMs: 1_250 })).toBe(
    "   1.3 s kill relay=b losesState=true",
  );
});

test("the server treats one mail alike in every run, some of them badly, and takes each in the end", () => {
  const tokens = Array.from({ length: 2_000 }, (_, number) => `p1l0n${number}`);
  const faults = tokens.map((token) => faultOf(1, token, 1));
  expect(tokens.map((token) => faultOf(1, token, 1))).toEqual(faults);
  expect(tokens.map((token) => faultOf(2, token, 1))).not.toEqual(faults);
  const bad = faults.filter((fault) => fault !== undefined);
  expect(bad.length).toBeGreaterThan(100);
  expect(bad.length).toBeLessThan(300);
  expect(new Set(bad.map(({ phase }) => phase)).size).toBe(6);
  expect(tokens.filter((token) => faultOf(1, token, 4) !== undefined)).toEqual([]);
});
