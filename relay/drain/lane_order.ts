import { type Lane, LaneShares, type PerLane } from "./lane_shares.ts";

/** One mail of this lane. */
const ONE: readonly [PerLane, PerLane, PerLane] = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];

/** Things that wait, handed out by their lanes, and within a lane in the order in which they came. */
export class LaneOrder<T> {
  readonly #lanes: readonly [high: T[], normal: T[], low: T[]] = [[], [], []];
  readonly #shares: LaneShares = new LaneShares();

  /** Takes one in, behind those of its lane. */
  push(item: T, lane: Lane): void {
    this.#lanes[lane].push(item);
  }

  /** Hands out the next one. */
  shift(): T | undefined {
    const [high, normal, low] = this.#lanes;
    // Most often all are of one lane, and nobody has to be given anything.
    if (high.length === 0 && low.length === 0) return normal.shift();
    const order = this.#shares.order(1);
    for (const { lane } of order) {
      const item = this.#lanes[lane].shift();
      if (item === undefined) continue;
      this.#shares.took(1, { order, got: ONE[lane] });
      return item;
    }
    return undefined;
  }

  /** Hands out all. */
  takeAll(): readonly T[] {
    return this.#lanes.flatMap((lane) => lane.splice(0));
  }
}
