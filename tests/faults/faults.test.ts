import { beforeAll, expect, test } from "bun:test";
import { testServer } from "../database.ts";
import { watchLoop } from "./loop_watch.ts";
import { RELAY_FAULTS, TRANSPORT_FAULTS } from "./named_faults.ts";
import { countDescriptors, runFault, settledDescriptors } from "./run_fault.ts";
import { summary } from "./summary.ts";

/** No turn of the event loop may take longer: all other mails wait for it. */
const LONGEST_BLOCK_MS = 100;

for (const fault of TRANSPORT_FAULTS) {
  const outcome = fault.expected.map((each) => typeof each === "string" ? each : each.join(" or "));
  test(`${fault.id} ${fault.name}: ${summary(outcome)}`, async () => {
    const observed = await runFault(fault);
    expect(observed.outcomes).toHaveLength(fault.expected.length);
    for (const [number, expected] of fault.expected.entries()) {
      expect([expected].flat()).toContain(observed.outcomes[number] ?? "");
    }
    if (fault.said !== undefined) expect(observed.said).toEqual(fault.said);
    expect(observed.disagreements).toEqual([]);
    expect(observed.left).toEqual({ connections: 0, descriptors: 0, timers: 0 });
    expect(observed.blockedMs).toBeLessThan(LONGEST_BLOCK_MS);
  }, 60_000);
}

// The test run's Postgres is there before any descriptor is counted.
beforeAll(async () => void await testServer(), 60_000);

for (const { id, name, then, run } of RELAY_FAULTS) {
  test(`${id} ${name}: ${then}`, async () => {
    const before = countDescriptors();
    const watch = watchLoop();
    await run();
    expect(await settledDescriptors(before)).toBeLessThanOrEqual(before);
    expect(watch.stop()).toBeLessThan(LONGEST_BLOCK_MS);
  }, 60_000);
}

test("the watch sees a turn of the event loop that computes for too long", () => {
  const watch = watchLoop();
  const before = process.cpuUsage();
  for (let computedMs = 0; computedMs < 2 * LONGEST_BLOCK_MS;) {
    const { user, system } = process.cpuUsage(before);
    computedMs = (user + system) / 1_000;
  }
  expect(watch.stop()).toBeGreaterThan(LONGEST_BLOCK_MS);
});

test("every named fault is in the suite", () => {
  const counts = { C: 15, E: 15, T: 14, A: 9, M: 19, D: 20, S: 12 };
  const named = Object.entries(counts).flatMap(([group, count]) =>
    Array.from({ length: count }, (_, index) => `${group}${String(index + 1).padStart(2, "0")}`)
  );
  expect(named).toHaveLength(104);
  expect([...new Set([...TRANSPORT_FAULTS, ...RELAY_FAULTS].map(({ id }) => id))].sort()).toEqual(
    named.sort(),
  );
});
