import { expect, test } from "bun:test";
import { LaneOrder } from "../../relay/drain/lane_order.ts";
import { type Lane, type LaneLimit, LaneShares, type PerLane } from "../../relay/drain/lane_shares.ts";

/** Takes mails as a claim does: lane after lane, of each what it has and may give. */
function takeFrom(has: PerLane, mails: number, order: readonly LaneLimit[]): PerLane {
  const got: [number, number, number] = [0, 0, 0];
  let left = mails;
  for (const { lane, most } of order) {
    got[lane] = Math.min(left, most, has[lane]);
    left -= got[lane];
  }
  return got;
}

/** One claim: what it gets, and whether it says that there may be more. */
function claimFrom(
  shares: LaneShares,
  has: PerLane,
  mails: number,
): { readonly got: PerLane; readonly hasMore: boolean } {
  const order = shares.order(mails);
  const got = takeFrom(has, mails, order);
  return { got, hasMore: shares.took(mails, { order, got }) };
}

const MUCH = 1_000_000;

for (const mails of [1, 2, 3, 7, 16, 100, 501]) {
  test(`of claims of ${mails} mails normal gets an eighth and low a sixteenth, while high has all it can take`, () => {
    const shares = new LaneShares();
    let [normal, low] = [0, 0];
    for (let claims = 1; claims <= 200; claims++) {
      const { got, hasMore } = claimFrom(shares, [MUCH, MUCH, MUCH], mails);
      expect(hasMore).toBe(true);
      normal += got[1];
      low += got[2];
      // What is owed comes with the next claim: both may be owed one at once, and only one of them fits.
      for (const [own, part] of [[normal, 8], [low, 16]] as const) {
        const due = claims * mails / part;
        expect(own).toBeLessThanOrEqual(due);
        expect(own).toBeGreaterThan(due - mails / part - 2);
      }
    }
  });
}

test("a lane that has got its part is owed nothing, and none is saved up for a lane that has nothing", () => {
  const shares = new LaneShares();
  const claim = (has: PerLane) => claimFrom(shares, has, 64);
  for (let count = 0; count < 5; count++) expect(claim([0, 0, MUCH])).toEqual({ got: [0, 0, 64], hasMore: true });
  for (let count = 0; count < 5; count++) expect(claim([MUCH, 0, 0])).toEqual({ got: [64, 0, 0], hasMore: true });
  // They were asked, and had nothing; since then each has missed at most two claims.
  expect(claim([MUCH, MUCH, MUCH]).got[2]).toBeLessThanOrEqual(8);
  expect(claim([MUCH, MUCH, MUCH])).toEqual({ got: [52, 8, 4], hasMore: true });
});

test("what high leaves free goes to the lower ones with the next claim, which comes at once", () => {
  const shares = new LaneShares();
  const claim = (has: PerLane) => claimFrom(shares, has, 64);
  expect(claim([MUCH, MUCH, MUCH])).toEqual({ got: [64, 0, 0], hasMore: true });
  expect(claim([3, MUCH, MUCH])).toEqual({ got: [3, 8, 4], hasMore: true });
  expect(claim([3, MUCH, MUCH])).toEqual({ got: [3, 61, 0], hasMore: true });
  expect(claim([3, MUCH, MUCH])).toEqual({ got: [3, 57, 4], hasMore: true });
  expect(claim([3, 4, 3])).toEqual({ got: [3, 4, 3], hasMore: false });
});

test("low does not go before normal when normal is asked for no more than it is owed, and is asked for with the next claim", () => {
  const shares = new LaneShares();
  const claim = (has: PerLane) => claimFrom(shares, has, 16);
  expect(claim([MUCH, 20, 20])).toEqual({ got: [16, 0, 0], hasMore: true });
  expect(claim([MUCH, 20, 20])).toEqual({ got: [13, 2, 1], hasMore: true });
  // A sixteenth of a claim is owed to low by then, and no more.
  for (const has of [[4, 18, 19], [0, 16, 18]] as const) {
    const { got, hasMore } = claim(has);
    expect(got[2]).toBeLessThanOrEqual(1);
    expect(hasMore).toBe(true);
  }
  // All of what normal had is out before the rest of low.
  const others = new LaneShares();
  const left: [number, number, number] = [20, 20, 20];
  let lowBefore = 0;
  for (let hasMore = true; hasMore;) {
    const claimed = claimFrom(others, left, 16);
    for (const lane of [0, 1, 2] as const) left[lane] -= claimed.got[lane];
    if (left[1] > 0) lowBefore += claimed.got[2];
    hasMore = claimed.hasMore;
  }
  expect(left).toEqual([0, 0, 0]);
  expect(lowBefore).toBeLessThanOrEqual(3);
});

test("a lane that was asked for all and had nothing is owed nothing", () => {
  const shares = new LaneShares();
  for (let count = 0; count < 3; count++) {
    const order = shares.order(64);
    expect(order.map(({ lane }) => lane)).toEqual([0, 1, 2]);
    shares.took(64, { order, got: takeFrom([0, 0, MUCH], 64, order) });
  }
});

/** Hands out all that waits. */
function handOut(order: LaneOrder<string>): readonly string[] {
  const out: string[] = [];
  for (let item = order.shift(); item !== undefined; item = order.shift()) out.push(item);
  return out;
}

test("high goes before what came earlier, each lane keeps its order, and the others get their turns meanwhile", () => {
  const order = new LaneOrder<string>();
  for (const lane of [2, 1, 0] satisfies Lane[]) {
    for (let number = 0; number < 32; number++) order.push(`${lane} ${number}`, lane);
  }
  const out = handOut(order);
  expect(out).toHaveLength(96);
  expect(out[0]).toBe("0 0");
  for (const lane of [0, 1, 2]) {
    const own = out.filter((item) => item.startsWith(`${lane} `));
    expect(own).toEqual(Array.from({ length: 32 }, (_, number) => `${lane} ${number}`));
  }
  const first = out.slice(0, 36).map((item) => item[0]);
  expect([0, 1, 2].map((lane) => first.filter((each) => each === String(lane)).length)).toEqual([30, 4, 2]);
});

test("a turn that nobody has mail for goes to the next in order, and all that waits can be taken at once", () => {
  const order = new LaneOrder<string>();
  for (let number = 0; number < 40; number++) order.push(`low ${number}`, 2);
  expect(handOut(order)).toHaveLength(40);
  order.push("low", 2);
  order.push("high", 0);
  expect(order.takeAll()).toEqual(["high", "low"]);
  expect(order.shift()).toBeUndefined();
});
