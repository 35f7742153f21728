import type { Floor } from "../drain/lane_floors.ts";
import type { Lane, PerLane } from "../drain/lane_shares.ts";
import type { Claim, ClaimedMessage, ClaimedRecipient, Remaining } from "./queue.ts";

// The rows that claims and counts answer with (queue_statements.ts), as the relay reads them.

/** What a claim answers. */
export function toClaim(rows: readonly Record<string, unknown>[]): Claim {
  return { messages: rows.map(toClaimed), nowMs: Number(rows[0]?.now_ms ?? Number.NaN) };
}

/** What a count of the queue answers. */
export function toRemaining([row]: readonly Record<string, unknown>[]): Remaining {
  const paused = row?.paused as number;
  return { waiting: row?.waiting as number, leased: row?.leased as number, ...(paused > 0 ? { paused } : {}) };
}

/** How long it is until something; undefined: there is nothing. */
export function waitMsOf([row]: readonly Record<string, unknown>[]): number | undefined {
  return row?.wait_ms === null || row?.wait_ms === undefined ? undefined : Number(row.wait_ms);
}

/** How many messages of each lane there are. */
export function perLane(messages: readonly ClaimedMessage[]): PerLane {
  const got: [number, number, number] = [0, 0, 0];
  for (const { lane } of messages) got[lane]++;
  return got;
}

/** The last row of each lane; only these say when they were due. */
export function lastOf(rows: readonly Record<string, unknown>[]): ReadonlyMap<Lane, Floor> {
  const last = new Map<Lane, Floor>();
  for (const { lane, floor, seq } of rows) {
    if (floor !== null) last.set(lane as Lane, { due: floor as string, seq: seq as string });
  }
  return last;
}

/** What most messages have behind them. */
const NOTHING: Pick<ClaimedMessage, "takenOver" | "wasOurs" | "unrecorded" | "intended" | "crashes" | "wasAlone"> = {
  takenOver: false,
  wasOurs: false,
  unrecorded: false,
  intended: false,
  crashes: 0,
  wasAlone: false,
};

function toClaimed(row: Record<string, unknown>): ClaimedMessage {
  return {
    seq: row.seq as string,
    lease: row.lease as string,
    lane: row.lane as Lane,
    attempt: row.attempts as number,
    ...((row.past ?? NOTHING) as typeof NOTHING),
    id: row.id as string,
    app: row.app as string,
    contentId: row.content_id as string,
    from: { email: row.from_email as string, name: row.from_name as string | null },
    replyTo: (row.reply_to ?? []) as ClaimedMessage["replyTo"],
    returnPath: row.return_path as string | null,
    unsubscribe: row.unsubscribe as string | null,
    onUncertain: row.on_uncertain as ClaimedMessage["onUncertain"],
    stream: row.stream as string | null,
    overridden: (row.overridden ?? undefined) as ClaimedMessage["overridden"],
    backoffMs: (row.backoff as readonly number[] | null)?.map((seconds) => seconds * 1_000),
    batch: row.batch as string | null,
    variables: row.variables as ClaimedMessage["variables"],
    firstDueMs: Number(row.first_due_ms),
    expiresAtMs: row.expires_at_ms === null ? null : Number(row.expires_at_ms),
    retriedAtMs: row.retried_at_ms === null ? null : Number(row.retried_at_ms),
    waitedFor: row.throttle as string | null,
    recipients: row.recipients as readonly ClaimedRecipient[],
  };
}
