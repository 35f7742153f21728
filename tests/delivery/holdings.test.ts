import { expect, test } from "bun:test";
import { Holdings } from "../../relay/delivery/holdings.ts";
import { message, NOW_MS } from "../claimed_message.ts";
import { settlement } from "../queue/setup.ts";

const ENDS_MS = NOW_MS + 120_000;

/** One message, held under the lease 2. */
function hold() {
  const moved: string[] = [];
  const holdings = new Holdings(({ lease }, next) => moved.push(`${lease} to ${next}`));
  const [holding] = holdings.add([message()], ENDS_MS);
  if (holding === undefined) throw new Error("It is not to be begun");
  return { holdings, holding, moved };
}

test("a message that we hold and have claimed again is not begun again, and has its new lease and its end from then on", () => {
  const { holdings, holding, moved } = hold();
  expect(holdings.add([{ ...message(), lease: "3", wasOurs: true }], ENDS_MS + 1)).toEqual([]);
  expect(moved).toEqual(["2 to 3"]);
  expect(holding).toMatchObject({ lease: "3", leaseEndsMs: ENDS_MS + 1 });
  expect(holdings.leases()).toEqual([{ seq: "1", lease: "3" }]);
  expect(holdings.current(settlement(message(), "deferred", 1_000)).lease).toBe("3");
});

test("a message that was not begun, and was another relay's in between, is a new one: what was known of it may have been sent", () => {
  const { holdings, holding, moved } = hold();
  const [again] = holdings.add([{ ...message(2), lease: "4" }], ENDS_MS + 1);
  expect(again).toMatchObject({ lease: "4", message: { attempt: 2 } });
  expect(holdings.has(holding)).toBe(false);
  expect(holdings.leases()).toEqual([{ seq: "1", lease: "4" }]);
  expect(moved).toEqual([]);
});

for (const isWritten of [false, true]) {
  test(`a message that was ${isWritten ? "settled" : "another relay's"} in between is begun anew when what is under way has come to its end`, () => {
    const { holdings, holding, moved } = hold();
    holding.started = true;
    if (isWritten) holdings.ended(holding, settlement(message(), "deferred", 1_000));
    expect(holdings.add([{ ...message(), lease: "4" }], ENDS_MS + 1)).toEqual([]);
    // Its lease is over: nothing is begun on it, and no final dot written; and what is said of it is said of that claim
    // alone.
    expect(holding).toMatchObject({ lease: "2", leaseEndsMs: -Infinity });
    expect(holdings.current(settlement(message(), "deferred", 1_000)).lease).toBe("2");
    expect(moved).toEqual([]);
    const [again] = holdings.remove([holding]);
    expect(again).toMatchObject({ lease: "4", leaseEndsMs: ENDS_MS + 1, started: false, hasEnded: false });
    expect(holdings.get("1")).toBe(again);
  });
}

test("a message that is to be begun anew keeps its lease until then, unless that is lost or claimed once more", () => {
  const { holdings, holding } = hold();
  holding.started = true;
  holdings.add([{ ...message(), lease: "4" }], ENDS_MS + 1);
  expect(holdings.leases()).toEqual([{ seq: "1", lease: "4" }]);
  expect(holdings.renewed(holdings.leases(), new Set(["1"]), ENDS_MS + 2)).toEqual([]);
  expect(holding.again?.leaseEndsMs).toBe(ENDS_MS + 2);
  expect(holdings.add([{ ...message(), lease: "5", wasOurs: true }], ENDS_MS + 3)).toEqual([]);
  expect(holding).toMatchObject({ lease: "2", again: { lease: "5", leaseEndsMs: ENDS_MS + 3 } });
  holdings.renewed(holdings.leases(), new Set(), ENDS_MS + 4);
  expect(holdings.has(holding)).toBe(true);
  expect(holdings.remove([holding])).toEqual([]);
  expect(holdings.size).toBe(0);
});

test("a message whose own lease had run out before its settlement is settled with the new one, and has ended with that", () => {
  const { holdings, holding } = hold();
  holdings.ended(holding, settlement(message(), "deferred", 1_000));
  holdings.add([{ ...message(), lease: "3", wasOurs: true }], ENDS_MS + 1);
  expect(holdings.current(settlement(message(), "deferred", 1_000)).lease).toBe("3");
  expect(holdings.remove([holding])).toEqual([]);
});

test("a message that was claimed again while it is being given back is a new one, and stays when the old one goes", () => {
  const { holdings, holding, moved } = hold();
  holding.isGivenBack = true;
  const [again] = holdings.add([{ ...message(), lease: "3" }], ENDS_MS);
  expect(again).toMatchObject({ lease: "3", isGivenBack: false });
  expect(moved).toEqual([]);
  holdings.remove([holding]);
  expect(holdings.get("1")).toBe(again);
  expect(holdings.has(holding)).toBe(false);
});

test("a renewal that is answered late says nothing of a lease that is newer", () => {
  const { holdings, holding } = hold();
  const asked = holdings.leases();
  holdings.add([{ ...message(), lease: "3", wasOurs: true }], ENDS_MS + 1);
  expect(holdings.renewed(asked, new Set(), ENDS_MS + 2)).toEqual([]);
  expect(holdings.renewed(asked, new Set(["1"]), ENDS_MS + 2)).toEqual([]);
  expect(holdings.has(holding)).toBe(true);
  expect(holding.leaseEndsMs).toBe(ENDS_MS + 1);
});

test("a lease that is lost ends a message that was not started, and leaves one on the wire to its end", () => {
  for (const started of [false, true]) {
    const { holdings, holding } = hold();
    holding.started = started;
    expect(holdings.renewed(holdings.leases(), new Set(), ENDS_MS + 1)).toEqual(["1"]);
    expect(holdings.has(holding)).toBe(started);
  }
});

test("a renewal that comes behind what ends a lease, or gives the mail back, takes it for no loss", () => {
  const settled = hold();
  const settlement = { seq: "1", lease: "2", attempt: 1, next: undefined, outcomes: [], recipients: [] };
  expect(settled.holdings.ended(settled.holding, settlement)).toBe(settlement);
  const released = hold();
  released.holding.isGivenBack = true;
  for (const { holdings, holding } of [settled, released]) {
    expect(holdings.renewed(holdings.leases(), new Set(), ENDS_MS + 1)).toEqual([]);
    expect(holdings.has(holding)).toBe(true);
  }
});

test("what could not be written is written at our own next claim, while nobody else can have had the message in between", () => {
  const outcome = { position: 0, kind: "sent", phase: "final", blame: "message", reason: "ok", route: "r" } as const;
  const refused = { seq: "1", lease: "2", attempt: 1, next: undefined, outcomes: [outcome], recipients: [] };
  const unwritten = (claim: { readonly lease: string; readonly wasOurs: boolean }, kept = refused) => {
    const holdings = new Holdings(() => {});
    holdings.keep(kept);
    const [holding] = holdings.add([{ ...message(), ...claim }], ENDS_MS);
    return holding === undefined ? undefined : [holdings.unwritten(holding), holdings.unwritten(holding)];
  };
  for (const lease of ["3", "4"]) {
    expect(unwritten({ lease, wasOurs: true })).toEqual([{ ...refused, lease }, undefined]);
  }
  expect(unwritten({ lease: "5", wasOurs: true })).toEqual([undefined, undefined]);
  expect(unwritten({ lease: "3", wasOurs: false })).toEqual([undefined, undefined]);
  expect(unwritten({ lease: "3", wasOurs: true }, { ...refused, outcomes: [] })).toEqual([undefined, undefined]);
});
