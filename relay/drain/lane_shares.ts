/** A message's priority as a number: high, normal, low. */
export type Lane = 0 | 1 | 2;

/** How many mails a lane may give. */
export interface LaneLimit {
  readonly lane: Lane;
  readonly most: number;
  /** It goes first, and for no more than it is owed. */
  readonly isOwed: boolean;
}

/** How many mails each lane gave. */
export type PerLane = readonly [high: number, normal: number, low: number];

/** What part of everything is for normal and for low mail while there is any. Sums of these are exact. */
const PARTS: PerLane = [0, 1 / 8, 1 / 16];

// DESIGN: high before normal before low, but a flow of high mail that never ends leaves the others a small part. What a
// lane has not got of its part is owed to it, and it goes first with that the next time: so each lane is asked once.
// Normal mail that is asked for no more than it is owed may have more, which low mail must not overtake: that waits for
// the next time then. Parts of a mail are owed too, so that many small claims keep the shares.

/** Whose turn it is. */
export class LaneShares {
  readonly #owed: [high: number, normal: number, low: number] = [0, 0, 0];

  /** The lanes in the order in which they are to be asked for so many mails. */
  order(mails: number): readonly LaneLimit[] {
    const low = Math.min(mails, Math.floor(this.#owed[2]));
    const normal = Math.min(mails - low, Math.floor(this.#owed[1]));
    const owed: LaneLimit[] = [];
    const others: LaneLimit[] = [{ lane: 0, most: mails, isOwed: false }];
    if (low > 0) owed.push({ lane: 2, most: low, isOwed: true });
    (normal > 0 ? owed : others).push({ lane: 1, most: normal > 0 ? normal : mails, isOwed: normal > 0 });
    if (low === 0 && (normal === 0 || normal === mails)) others.push({ lane: 2, most: mails, isOwed: false });
    return [...owed, ...others];
  }

  /**
   * Notes what they gave.
   * @returns there may be more: so many came, or a lane was not asked for all that it may have
   */
  took(mails: number, { order, got }: { readonly order: readonly LaneLimit[]; readonly got: PerLane }): boolean {
    const isFull = got[0] + got[1] + got[2] === mails;
    const isLowLeftOut = order.length < PARTS.length;
    let left = mails;
    let hasMore = isFull || isLowLeftOut;
    for (const { lane, most, isOwed } of order) {
      const isEmpty = got[lane] < Math.min(left, most);
      left -= got[lane];
      if (isOwed && !isEmpty) hasMore = true;
      // Nothing was withheld from anybody, or this lane has nothing more.
      if (!isFull || isEmpty) this.#owed[lane] = 0;
      else this.#owed[lane] = Math.max(0, this.#owed[lane] + mails * PARTS[lane] - got[lane]);
    }
    if (isFull && isLowLeftOut) this.#owed[2] += mails * PARTS[2];
    return hasMore;
  }
}
