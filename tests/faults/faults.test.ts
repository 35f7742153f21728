import { beforeAll, expect, test } from "bun:test";
import { testServer } from "../database.ts";
import { AUTH_FAULTS } from "./auth.ts";
import { CONNECT_FAULTS } from "./connect.ts";
import { DATA_FAULTS } from "./data.ts";
import { EHLO_FAULTS } from "./ehlo.ts";
import { ENVELOPE_FAULTS } from "./envelope.ts";
import type { TransportFault } from "./fault.ts";
import { watchLoop } from "./loop_watch.ts";
import { RELAY_FAULTS } from "./relay.ts";
import { countDescriptors, runFault, settledDescriptors } from "./run_fault.ts";
import { SESSION_FAULTS } from "./session.ts";
import { summary } from "./summary.ts";
import { TLS_FAULTS } from "./tls.ts";

const FAULTS: readonly TransportFault[] = [
  ...CONNECT_FAULTS,
  ...EHLO_FAULTS,
  ...TLS_FAULTS,
  ...AUTH_FAULTS,
  ...ENVELOPE_FAULTS,
  ...DATA_FAULTS,
  ...SESSION_FAULTS,
];

/** No turn of the event loop may take longer: all other mails wait for it. */
const LONGEST_BLOCK_MS = 100;

for (const fault of FAULTS) {
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
  });
}

// The test run's Postgres is there before any descriptor is counted.
beforeAll(async () => void await testServer());

for (const { id, name, then, run } of RELAY_FAULTS) {
  test(`${id} ${name}: ${then}`, async () => {
    const before = countDescriptors();
    const watch = watchLoop();
    await run();
    expect(await settledDescriptors(before)).toBeLessThanOrEqual(before);
    expect(watch.stop()).toBeLessThan(LONGEST_BLOCK_MS);
  }, 30_000);
}
