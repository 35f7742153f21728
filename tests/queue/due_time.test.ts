import { expect, test } from "bun:test";
import { type Clock, systemClock } from "../../relay/time/clock.ts";
import { createDatabase } from "../database.ts";
import { enqueue, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

/** Timers that ring far too early, so that the relay is awake before and at each time; its long polls never come. */
const EARLY: Clock = {
  now: systemClock.now,
  after: (delayMs, callback) => delayMs >= 10_000 ? () => undefined : systemClock.after(delayMs / 50, callback),
};

test(
  "a scheduled mail goes out at its time, also when the relay wakes a moment before and has long had nothing to do",
  async () => {
    await using database = await createDatabase();
    await using server = await startScriptedServer();
    const startMs = Date.now() + 1_000;
    // So far apart that the relay's polls have grown to where they never come.
    const times = Array.from({ length: 8 }, (_, index) => new Date(startMs + index * 600));
    for (const scheduledAt of times) await enqueue(database, { scheduledAt: scheduledAt.toISOString() });
    await using running = await openTestRelay(database, { smtpPort: server.port, clock: EARLY, pollMs: 60_000 });
    running.relay.start();
    await server.whenMails(times.length);
    expect(server.mails).toHaveLength(times.length);
  },
  60_000,
);
