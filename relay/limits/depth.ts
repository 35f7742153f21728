import type { Statements } from "../database/statements.ts";
import type { Log } from "../log.ts";
import type { Clock } from "../time/clock.ts";

// DESIGN: to count a million rows every second would be dear, so the queue is counted now and then, and in between two
// numbers that cost nothing tell how it changes: the sequence of `message` (what came; too many, since it counts what
// was rolled back) and the rows deleted from `queue` (what ended; known a moment late). Both errors make the estimate
// too high, and before it closes the queue or opens it, it is counted in earnest, up to the limit. (What was deleted in
// the second before a count may be told after it; the next count mends that.) While it is full, the relay's row says
// until when enqueue refuses, and that time is short.

/** How often somebody looks. */
export const DEPTH_MS = 1_000;

/** For how long a word that the queue is full holds: a relay that is gone must not keep an app from mailing. */
const FULL_FOR_MS = 10_000;

/** A full queue is open again at this share of its limit, so that it does not open and close with every mail. */
const OPENS_AT = 0.9;

/** Without need it is counted so seldom. A count of a million takes about 0.1 s. */
const COUNT_MS = 60_000;

/**
 * And not again before so many times the time that it took: without need, and where the estimate says that something
 * changes.
 */
const REST = { usual: 1_000, needed: 20 } as const;

/** No table is read but a sequence of one row. */
const GLANCE = `
select last_value::float8 as inserted, pg_stat_get_tuples_deleted('mailchute.queue'::regclass)::float8 as deleted
from mailchute.message_seq_seq`;

/** Reads the queue, up to one more than the limit. */
const COUNT = "select count(*)::float8 as messages from (select from mailchute.queue limit $1::bigint + 1) as q";

const CLOSE = `
update mailchute.relay set full_until = now() + make_interval(secs => $2::float8 / 1000) where id = $1::bigint`;
const OPEN = "update mailchute.relay set full_until = null where id = $1::bigint";

/** What a depth needs. */
export interface DepthOptions {
  readonly sql: Statements;
  readonly relayId: string;
  /** RELAY_MAX_QUEUE. */
  readonly limit: number;
  readonly clock: Clock;
  readonly log: Log;
}

interface Count {
  readonly messages: number;
  readonly inserted: number;
  readonly deleted: number;
  readonly atMs: number;
  readonly tookMs: number;
}

/** Knows about how many messages the queue of one database has, and closes it to the apps while that is too many. */
export class Depth {
  readonly limit: number;
  readonly #options: DepthOptions;
  #count: Count | undefined;
  #messages: number | undefined;
  #isFull = false;
  #saidUntilMs = 0;

  constructor(options: DepthOptions) {
    this.limit = options.limit;
    this.#options = options;
  }

  /**
   * About how many messages are open; when there are more than the limit, perhaps only that. Undefined before the first
   * look.
   */
  get messages(): number | undefined {
    return this.#messages;
  }

  /** Enqueue refuses. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /**
   * Looks, and tells the database when something has changed; to be called every `DEPTH_MS`.
   * @param options `isLast`: it is counted, since nobody does so later
   */
  async look({ isLast = false }: { readonly isLast?: boolean } = {}): Promise<void> {
    const { sql, relayId, limit, clock, log } = this.#options;
    if (isLast) this.#count = undefined;
    const { messages, isCounted } = await this.#estimate();
    this.#messages = messages;
    const wouldBeFull = this.#isFull ? messages > limit * OPENS_AT : messages >= limit;
    // What one app has not committed yet is in the estimate, and must not close the queue to the others.
    const isFull = isCounted ? wouldBeFull : this.#isFull;
    const nowMs = clock.now();
    if (isFull && this.#saidUntilMs - nowMs < FULL_FOR_MS / 2) {
      await sql.unsafe(CLOSE, [relayId, FULL_FOR_MS]);
      this.#saidUntilMs = nowMs + FULL_FOR_MS;
    } else if (!isFull && this.#saidUntilMs > 0) {
      await sql.unsafe(OPEN, [relayId]);
      this.#saidUntilMs = 0;
    }
    if (isFull && !this.#isFull) log.warn("queue is full: enqueue is refused", { messages, limit });
    if (!isFull && this.#isFull) log.info("queue takes mail again", { messages, limit });
    this.#isFull = isFull;
  }

  async #estimate(): Promise<{ readonly messages: number; readonly isCounted: boolean }> {
    const { sql, clock, limit } = this.#options;
    const [row] = await sql.unsafe(GLANCE, [], { prepare: true });
    const inserted = row?.inserted as number;
    const deleted = row?.deleted as number;
    const last = this.#count;
    // Statistics can be reset, and then count from 0.
    const countNow = async () => ({ messages: await this.#countNow({ inserted, deleted }), isCounted: true });
    if (last === undefined || deleted < last.deleted) return await countNow();
    const messages = Math.max(0, last.messages + (inserted - last.inserted) - (deleted - last.deleted));
    const ageMs = clock.now() - last.atMs;
    const changes = this.#isFull ? messages <= limit * OPENS_AT : messages >= limit;
    const restMs = changes ? last.tookMs * REST.needed : Math.max(COUNT_MS, last.tookMs * REST.usual);
    return ageMs < restMs ? { messages, isCounted: false } : await countNow();
  }

  async #countNow(glance: Pick<Count, "inserted" | "deleted">): Promise<number> {
    const { sql, clock, limit } = this.#options;
    const startMs = clock.now();
    const [row] = await sql.unsafe(COUNT, [limit], { prepare: true });
    const messages = row?.messages as number;
    const atMs = clock.now();
    this.#count = { ...glance, messages, atMs, tookMs: atMs - startMs };
    return messages;
  }
}
