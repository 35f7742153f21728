import { expect, test } from "bun:test";
import { ClockWatch } from "../../relay/database/clock_watch.ts";
import { type Clock, steadyClock, systemClock } from "../../relay/time/clock.ts";
import { createDatabase } from "../database.ts";
import { ManualClock } from "../manual_clock.ts";
import { openTestRelay } from "../relay.ts";

/** A watch, and what it says: by how much the database is ahead, or that all is well. */
function watchOf(clock: Clock): { readonly watch: ClockWatch; readonly said: readonly (number | string)[] } {
  const said: (number | string)[] = [];
  const log = {
    warn: (_message: string, details?: Readonly<Record<string, unknown>>) => void said.push(details?.aheadMs as number),
    info: (message: string) => void said.push(message),
  };
  return { watch: new ClockWatch({ clock, log }), said };
}

test("a difference is said once, again when it changes, and when it is over; the round trip is none", async () => {
  const clock = new ManualClock();
  const { watch, said } = watchOf(clock);
  const look = (aheadMs: number, roundTripMs = 0) =>
    watch.look(() => {
      const nowMs = clock.now() + aheadMs;
      clock.pass(roundTripMs);
      return Promise.resolve(nowMs);
    });
  await look(0);
  await look(900);
  await look(-900);
  // Read at once, or just before the answer.
  await look(0, 5_000);
  await look(5_000, 5_000);
  expect(said).toEqual([]);
  await look(3_000);
  await look(3_400);
  await look(60_000);
  await look(-3_600_000);
  await look(10);
  await look(10);
  expect(said).toEqual([3_000, 60_000, -3_600_000, "the clock of the database agrees with ours again"]);
});

test("a machine's clock that is set back to the right time agrees again, and one that is set back from it differs", async () => {
  let machineMs = 5_000_000;
  const clock = steadyClock({ ...systemClock, now: () => machineMs });
  const { watch, said } = watchOf(clock);
  for (const [nowMs, databaseMs] of [[5_000_000, 2_000_000], [2_001_000, 2_001_000], [1_000_000, 2_002_000]] as const) {
    machineMs = nowMs;
    // As everything else in the relay asks for the time.
    clock.now();
    await watch.look(() => Promise.resolve(databaseMs));
  }
  expect(said).toEqual([-3_000_000, "the clock of the database agrees with ours again", 1_002_000]);
});

test("a relay whose clock is an hour late says so when it starts, with what to do", async () => {
  await using database = await createDatabase();
  const clock = { now: () => systemClock.now() - 3_600_000, after: systemClock.after };
  await using running = await openTestRelay(database, { smtpPort: 1, clock });
  const line = running.lines.find((each) => each.includes("the clock of the database differs from ours"));
  const { level, aheadMs, fix } = JSON.parse(line ?? "{}");
  expect({ level, hours: Math.round(aheadMs / 3_600_000) }).toEqual({ level: 40, hours: 1 });
  expect(fix).toContain("NTP");
});
