import type { Lane, LaneLimit, PerLane } from "./lane_shares.ts";

// DESIGN: while somebody holds an old snapshot (pg_dump, a report, a transaction that was left open), the index entries
// of mails that were sent stay, at the very place where each claim begins, and each claim would walk over all of them.
// So a claim begins where the one before it ended in each lane, its floor. What appears below a floor is late: a
// transaction that was open for long gives its mails the time of their enqueue, and a locked row was passed over.
// Therefore a floor is not put higher than a little before now, and none is used after a claim that left nothing, nor
// for longer than a second: the next claim begins at the very first entry.

/** For how long floors are used. */
const FLOOR_MS = 1_000;

/** How far before now a floor stays: most transactions that enqueue are shorter. */
export const LATE_MS = 250;

/** Where a lane's range begins: behind this row. `due` is text, since no clock of ours is as fine as the database's. */
export interface Floor {
  readonly due: string;
  readonly seq: string;
}

/** What a claim brought, as far as it tells where the next one may begin. */
export interface Scan {
  readonly order: readonly LaneLimit[];
  readonly got: PerLane;
  /** The last row of each lane that gave any. */
  readonly last: ReadonlyMap<Lane, Floor>;
  /** There may be more. */
  readonly hasMore: boolean;
  /** When the claim was sent, by our clock. */
  readonly atMs: number;
  /** When it ran, by the database's; NaN when it brought nothing. */
  readonly nowMs: number;
}

const NONE: Floor = { due: "-infinity", seq: "0" };

/** Where the claims of one relay begin. */
export class LaneFloors {
  #floors = new Map<Lane, Floor>();
  #sinceMs: number | undefined;
  #emptiedMs: number | undefined;

  /** The lanes with where to begin in each. */
  under(order: readonly LaneLimit[], nowMs: number): readonly (LaneLimit & Floor)[] {
    const sinceMs = this.#sinceMs;
    // A clock that was put back ends them too.
    if (sinceMs === undefined || nowMs - sinceMs >= FLOOR_MS || nowMs < sinceMs) {
      this.#floors.clear();
      this.#sinceMs = nowMs;
    }
    // Until it is answered, nobody knows what it left.
    this.#emptiedMs = undefined;
    return order.map((limit) => ({ ...limit, ...this.#floors.get(limit.lane) ?? NONE }));
  }

  /**
   * How many milliseconds ago the last claim left nothing that was due a little earlier; undefined: it left something.
   */
  emptiedMs(nowMs: number): number | undefined {
    return this.#emptiedMs === undefined ? undefined : Math.max(0, nowMs - this.#emptiedMs) + LATE_MS;
  }

  /** Notes what a claim brought. */
  note({ order, got, last, hasMore, atMs, nowMs }: Scan): void {
    this.#emptiedMs = hasMore ? undefined : atMs;
    if (!hasMore) {
      this.#sinceMs = undefined;
      return;
    }
    // Of no row there is no time: there may be more though nothing came, since a lane was not asked.
    const justNow = (): Floor => ({ due: new Date(nowMs - LATE_MS).toISOString(), seq: "0" });
    let isBegun = false;
    // A lane is begun when the ones before it have nothing more, or all that they may give.
    for (const { lane, most } of order.toReversed()) {
      const floor = isBegun && got[lane] < most ? justNow() : last.get(lane);
      if (floor !== undefined) this.#floors.set(lane, floor);
      isBegun ||= got[lane] > 0;
    }
  }
}
