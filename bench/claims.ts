import { randomUUID } from "node:crypto";
import type { Sql } from "postgres";
import { type ClaimedMessage, Queue } from "../relay/queue/queue.ts";
import { registerRelay } from "../relay/queue/relay_row.ts";
import { systemClock } from "../relay/time/clock.ts";
import { millisecondsOf } from "./measure.ts";

/** How many mails a claim takes. */
export const BATCH = 100;
const LEASE_MS = 120_000;

/** Registers a relay and gives its queue, without a relay around it. */
export async function openQueue(sql: Sql, now: () => number = systemClock.now): Promise<Queue> {
  const relayId = await registerRelay(sql, { instance: randomUUID(), host: "bench", pid: process.pid });
  return new Queue(sql, { relayId, leaseMs: LEASE_MS, clock: { now } });
}

/**
 * Claims so many times, and gives back what was claimed, so that the next round finds as much.
 * @param check looks at what was claimed
 * @returns how long one claim took, in milliseconds
 */
export async function claimAndGiveBack(
  queue: Queue,
  times: number,
  check: (claimed: readonly ClaimedMessage[]) => void = () => {},
): Promise<number> {
  const claimed: ClaimedMessage[] = [];
  const elapsedMs = await millisecondsOf(async () => {
    for (let count = 0; count < times; count++) claimed.push(...(await queue.claim(BATCH)).messages);
  });
  if (claimed.length !== times * BATCH) throw new Error(`Cannot take the figure: ${claimed.length} mails were claimed`);
  check(claimed);
  await queue.release(claimed.map((message) => ({ ...message, delayMs: 0 })));
  return elapsedMs / times;
}
