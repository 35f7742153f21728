import { expect, test } from "bun:test";
import type { Charge } from "../../relay/limits/rate_limit.ts";
import type { Answer, Asked } from "../../relay/limits/throttle_table.ts";
import { type Limit, take, tokenMs } from "../../relay/limits/throttle.ts";
import { Throttles } from "../../relay/limits/throttles.ts";
import { ManualClock } from "../manual_clock.ts";
import { prng } from "../mime/prng.ts";

// The office of a relay by a clock that the test turns, and a home database that does in memory what the table does;
// that the table does so too, tests/queue/throttle_table.test.ts shows.

const MINUTE: Limit = { count: 60, periodMs: 60_000 };
const FAST: Limit = { count: 6_000, periodMs: 60_000 };

class World {
  isAway = false;
  /** Answers that are asked for and never come. */
  isSilent = false;
  trips = 0;
  relays = 1;
  readonly #buckets = new Map<string, number>();

  readonly clock: ManualClock = new ManualClock();

  ask = (asked: readonly Asked[]): Promise<Answer> => {
    this.trips++;
    if (this.isAway) return Promise.reject(new Error("no connection"));
    if (this.isSilent) return new Promise(() => {});
    const granted = asked.map(({ key, limit, first, most, owed }) => {
      const missing = Math.max(0, (this.#buckets.get(key) ?? 0) - this.clock.now()) + owed * tokenMs(limit);
      const taken = take(limit, this.clock.now() + Math.max(0, missing), { first, most, nowMs: this.clock.now() });
      this.#buckets.set(key, taken.fullAtMs);
      return { key, granted: taken.granted, fullMs: taken.fullAtMs - this.clock.now() };
    });
    return Promise.resolve({ granted, relays: asked.length === 0 ? undefined : this.relays });
  };

  open(): Throttles & { readonly said: boolean[] } {
    const said: boolean[] = [];
    const throttles = new Throttles({ ask: this.ask, clock: this.clock, onAway: (isAway) => said.push(isAway) });
    return Object.assign(throttles, { said });
  }
}

function charge(limit: Limit, key = "all", cost = 1): Charge {
  return { key: `${key}=${limit.count}`, limit, cost };
}

/** The most that started within any time, over what the limit allows. */
function excess(starts: readonly number[], limit: Limit): number {
  let worst = -Infinity;
  for (let first = 0; first < starts.length; first++) {
    for (let last = first; last < starts.length; last++) {
      const windowMs = (starts[last] as number) - (starts[first] as number);
      worst = Math.max(worst, last - first + 1 - limit.count - windowMs / tokenMs(limit));
    }
  }
  return worst;
}

for (const limit of [MINUTE, FAST, { count: 3, periodMs: 1_000 }]) {
  test(`three relays that all want all the time start ${limit.count} in ${limit.periodMs} ms together, and hardly fewer`, async () => {
    const world = new World();
    world.relays = 3;
    const relays = [world.open(), world.open(), world.open()];
    const { int } = prng(limit.count);
    const starts: number[] = [];
    const perRelay = [0, 0, 0];
    const beginMs = world.clock.now();
    const spanMs = Math.min(30_000, 400 * tokenMs(limit));
    while (world.clock.now() - beginMs < spanMs) {
      for (const [index, relay] of relays.entries()) {
        const wanted = Array.from({ length: 1 + int(6) }, () => relay.take([charge(limit)]));
        const started = (await Promise.all(wanted)).filter((refusal) => refusal === undefined).length;
        perRelay[index] = (perRelay[index] ?? 0) + started;
        for (let count = 0; count < started; count++) starts.push(world.clock.now());
      }
      // The first to ask is another one each time.
      relays.push(relays.shift() as Throttles & { readonly said: boolean[] });
      perRelay.push(perRelay.shift() as number);
      world.clock.pass(1 + int(Math.ceil(tokenMs(limit))));
    }
    expect(excess(starts, limit)).toBeLessThanOrEqual(1);
    expect(starts.length).toBeGreaterThan(0.9 * (spanMs / tokenMs(limit)));
    for (const count of perRelay) expect(count).toBeGreaterThan(starts.length / 10);
  });
}

test("a fast limit costs a round trip for many mails, and who is refused asks nobody before there can be a token", async () => {
  const world = new World();
  const relay = world.open();
  for (let mail = 0; mail < 1_000; mail++) {
    expect(await relay.take([charge(FAST)])).toBeUndefined();
    world.clock.pass(10);
  }
  expect(world.trips).toBeLessThan(30);

  const before = world.trips;
  for (let mail = 0; mail < 59; mail++) expect(await relay.take([charge(MINUTE)])).toBeUndefined();
  const refusal = await relay.take([charge(MINUTE)]);
  expect(refusal).toEqual({ throttle: "all=60", againMs: expect.any(Number) });
  const trips = world.trips;
  expect(trips).toBeGreaterThan(before);
  for (let mail = 0; mail < 100; mail++) await relay.take([charge(MINUTE)]);
  expect(world.trips).toBe(trips);
  world.clock.pass((refusal?.againMs ?? 0) - world.clock.now());
  expect(await relay.take([charge(MINUTE)])).toBeUndefined();
});

test("a mail needs all its throttles or takes none: a full hour is not used up by mails that the minute keeps back", async () => {
  const world = new World();
  const relays = [world.open(), world.open()];
  const hour = { count: 2_000, periodMs: 3_600_000 };
  let started = 0;
  // Twenty minutes, in which both ask again and again.
  for (let step = 0; step < 20 * 60 * 4; step++) {
    for (const relay of relays) {
      if (await relay.take([charge(MINUTE, "minute"), charge(hour, "hour")]) === undefined) started++;
    }
    world.clock.pass(250);
  }
  expect(started).toBeGreaterThan(1_180);
  expect(started).toBeLessThanOrEqual(1_260);
});

test("of two mails that ask at once, the one that is too late for one throttle leaves the other's token to the next", async () => {
  const world = new World();
  const throttles = world.open();
  const hour = charge({ count: 3, periodMs: 3_600_000 }, "hour");
  const day = charge({ count: 2, periodMs: 86_400_000 }, "day");
  // While the first one asks, the others gather: they ask together.
  const answers = await Promise.all([0, 1, 2].map(() => throttles.take([hour, day])));
  expect(answers.map((refusal) => refusal?.throttle)).toEqual([undefined, undefined, "day=2"]);
  expect(await throttles.take([hour])).toBeUndefined();
  expect((await throttles.take([hour]))?.throttle).toBe("hour=3");
});

test("a mail to more recipients than the limit goes as soon as there is one token, and the next ones wait for what it took", async () => {
  const world = new World();
  const relay = world.open();
  expect(await relay.take([charge(MINUTE, "domain", 150)])).toBeUndefined();
  const refusal = await relay.take([charge(MINUTE, "domain", 1)]);
  // 150 taken from 59 or 60, at one a second.
  expect((refusal?.againMs ?? 0) - world.clock.now()).toBeWithin(90_000, 93_000);
});

for (const how of ["refuses", "is silent"] as const) {
  test(`while home ${how}, a relay keeps to its share, never faster, and says so once`, async () => {
    const world = new World();
    world.relays = 3;
    const relay = world.open();
    await relay.take([charge(MINUTE)]);
    if (how === "refuses") world.isAway = true;
    else world.isSilent = true;
    const starts: number[] = [];
    const beginMs = world.clock.now();
    while (world.clock.now() - beginMs < 120_000) {
      const answer = relay.take([charge(MINUTE)]);
      // Silence ends by the clock.
      const first = await Promise.race([answer, new Promise((resolve) => setImmediate(() => resolve("waits")))]);
      if (first === "waits") world.clock.pass(2_000);
      if (await answer === undefined) starts.push(world.clock.now());
      world.clock.pass(100);
    }
    // A third of 60 a minute for two minutes, but for the first seconds of silence.
    expect(starts.length).toBeWithin(36, 42);
    for (let index = 1; index < starts.length; index++) {
      expect((starts[index] as number) - (starts[index - 1] as number)).toBeGreaterThanOrEqual(2_900);
    }
    expect(relay.said).toEqual([true]);
  });
}

test("when home is back, what was used meanwhile counts", async () => {
  const world = new World();
  const relay = world.open();
  await relay.take([charge(MINUTE)]);
  world.isAway = true;
  let used = 0;
  for (let step = 0; step < 300; step++) {
    if (await relay.take([charge(MINUTE)]) === undefined) used++;
    world.clock.pass(100);
  }
  expect(used).toBeGreaterThan(25);
  world.isAway = false;
  let burst = 0;
  for (let step = 0; step < 60; step++) {
    for (let mail = 0; mail < 10; mail++) if (await relay.take([charge(MINUTE)]) === undefined) burst++;
    world.clock.pass(100);
  }
  expect(relay.said).toEqual([true, false]);
  // Without that, it would be a whole bucket and six seconds.
  expect(burst).toBeLessThanOrEqual(60 + 6 - used + 1);
  expect(burst).toBeGreaterThan(60 - used - 5);
});

test("databases that wait for the same throttle take turns, and one that does not come loses its turn soon", async () => {
  const world = new World();
  const relay = world.open();
  const key = charge(MINUTE).key;
  for (let mail = 0; mail < 70; mail++) await relay.take([charge(MINUTE)]);
  const [large, small, gone] = [{ name: "large" }, { name: "small" }, { name: "gone" }];
  const served = new Map<object, number>();
  relay.turn(key, MINUTE, gone);
  for (let step = 0; step < 600; step++) {
    // The large one is always there first.
    for (const who of [large, small]) {
      const { count } = relay.turn(key, MINUTE, who);
      if (count === 0) continue;
      relay.claimed(key, who, { might: count, has: count });
      for (let mail = 0; mail < count; mail++) {
        if (await relay.take([charge(MINUTE)]) === undefined) served.set(who, (served.get(who) ?? 0) + 1);
      }
    }
    world.clock.pass(100);
  }
  const [ofLarge, ofSmall] = [served.get(large) ?? 0, served.get(small) ?? 0];
  expect(ofLarge + ofSmall).toBeGreaterThan(52);
  expect(Math.abs(ofLarge - ofSmall)).toBeLessThanOrEqual(1);
});
