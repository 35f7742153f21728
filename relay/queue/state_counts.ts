import type { Statements } from "../database/statements.ts";
import type { Clock } from "../time/clock.ts";

// DESIGN: for the metrics. Nothing is counted unless somebody asks, and then not again before the last count is old: a
// queue is read from one end to the other, and its own rows, which are narrow, have to tell the state. Who asks waits
// for a moment at most, and gets the last count until there is a newer one.

/** Open messages by state, all five of them. */
export interface StateCounted {
  readonly scheduled: number;
  readonly queued: number;
  readonly sending: number;
  readonly deferred: number;
  readonly held: number;
}

/** A count is as good as new for so long. */
const COUNT_MS = 60_000;

/** And for so many times the time that it took: a thousandth of one processor is the most that it costs. */
const REST = 1_000;

/** Of a longer queue so many are read: in some 0.2 s, which is within the limit that any lease gives to a statement. */
const MOST = 500_000;

/** Of each lane, of what is due at infinity: what is held, and the items that wait for their digests. */
const MOST_PARKED = 100_000;

/**
 * Index: queue_due and digest_item_pkey for what is due at infinity, so that what is held is found behind however many
 * others. The rest is read as it lies. What was claimed before and has no attempt was given back: it is queued, though
 * it is due in a moment.
 */
const COUNT_STATES = `
select count(*) filter (where s.state = 'scheduled')::float8 as scheduled, count(*) filter (where s.state = 'queued')::float8 as queued,
  count(*) filter (where s.state = 'sending')::float8 as sending, count(*) filter (where s.state = 'deferred')::float8 as deferred,
  count(*) filter (where s.state = 'held')::float8 as held
from (
  select case when q.leased_by is not null then 'sending' when q.attempts > 0 then 'deferred'
    when q.lease = 0 and q.due > now() then 'scheduled' else 'queued' end as state
  from (select leased_by, attempts, lease, due from mailchute.queue where due < 'infinity' limit ${MOST}) q
  union all
  select case when (select i.digest is null from mailchute.digest_item i where i.seq = x.seq) then 'scheduled' else 'held' end
  from (values (0::smallint), (1::smallint), (2::smallint)) as v(lane)
  cross join lateral (
    select q.seq from mailchute.queue q where q.lane = v.lane and q.due = 'infinity' order by q.due, q.seq limit ${MOST_PARKED}
  ) x
) s`;

/** How long who asks waits for a count that is under way. */
const PATIENCE_MS = 1_000;

/** Knows how many messages of one database's queue are in which state. */
export class StateCounts {
  readonly #sql: Statements;
  readonly #clock: Clock;
  #last: StateCounted | undefined;
  #counting: Promise<void> | undefined;
  #nextMs = 0;

  constructor({ sql, clock }: { readonly sql: Statements; readonly clock: Clock }) {
    this.#sql = sql;
    this.#clock = clock;
  }

  /**
   * The last count, of a minute ago at most where the queue is not very long. Undefined: none has come to its end yet.
   */
  async read(): Promise<StateCounted | undefined> {
    if (this.#counting === undefined && this.#clock.now() >= this.#nextMs) {
      this.#counting = this.#count().finally(() => this.#counting = undefined);
    }
    if (this.#counting !== undefined) {
      const late = Promise.withResolvers<void>();
      const cancel = this.#clock.after(PATIENCE_MS, late.resolve);
      await Promise.race([this.#counting, late.promise]).finally(cancel);
    }
    return this.#last;
  }

  async #count(): Promise<void> {
    const startMs = this.#clock.now();
    try {
      const [row] = await this.#sql.unsafe(COUNT_STATES, [], { prepare: true });
      const of = (state: keyof StateCounted) => row?.[state] as number;
      this.#last = {
        ...{ scheduled: of("scheduled"), queued: of("queued"), sending: of("sending") },
        ...{ deferred: of("deferred"), held: of("held") },
      };
    } catch {
      // That it does not answer others say; old numbers would say that all is well.
      this.#last = undefined;
    }
    const endMs = this.#clock.now();
    this.#nextMs = startMs + Math.max(COUNT_MS, (endMs - startMs) * REST);
  }
}
