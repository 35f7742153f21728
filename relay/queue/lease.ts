import { formatDuration } from "../time/duration.ts";

// DESIGN: a lease is a promise of the database that nobody else touches a mail. It is not as long as the longest
// dialogue (RFC 5321 gives a server 10 minutes for the final dot), since a dead relay's mail would wait as long: it is
// renewed while its holder lives, four times within its length. So what counts is that it is not begun, nor brought to
// its final dot, on a lease of which nobody knows whether it will be renewed: its last quarter, which a relay sees only
// after two renewals in a row have come to nothing.

/** A relay that misses two renewals in a row still holds its leases. */
export const RENEWALS_PER_LEASE = 4;

/** The longest wait for an answer: a lease outlives one renewal that gets none, and the next. */
const STATEMENT_MS = 20_000;
const SHORTEST_STATEMENT_MS = 2_000;
const STATEMENTS_PER_LEASE = 6;

/** A lease of which the last quarter is still there after two renewals, and a third that takes as long as it may. */
const SHORTEST_SOUND_MS = 4 * SHORTEST_STATEMENT_MS;

/** A lease by the clock of its holder. */
export interface Leased {
  readonly leaseEndsMs: number;
}

/** Whether a mail may be begun, or its final dot be written, on this lease. */
export function lasts(
  { leaseEndsMs }: Leased,
  { nowMs, leaseMs }: { readonly nowMs: number; readonly leaseMs: number },
): boolean {
  return leaseEndsMs - nowMs > leaseMs / RENEWALS_PER_LEASE;
}

/** How long a statement may wait for its answer. */
export function statementLimitMs(leaseMs: number): number {
  return Math.max(SHORTEST_STATEMENT_MS, Math.min(leaseMs / STATEMENTS_PER_LEASE, STATEMENT_MS));
}

/** One sentence when a slow answer of the database may cost leases; undefined when a lease is long enough. */
export function leaseNotice(leaseMs: number): string | undefined {
  if (leaseMs >= SHORTEST_SOUND_MS) return undefined;
  return `RELAY_LEASE=${formatDuration(leaseMs)} is short: it is renewed every ${
    leaseMs / RENEWALS_PER_LEASE
  } ms, and an answer of the database ` +
    `may take ${SHORTEST_STATEMENT_MS} ms: two slow ones in a row, and its mails are given back, or sent by another relay too; ` +
    `set ${formatDuration(SHORTEST_SOUND_MS)} or more`;
}
