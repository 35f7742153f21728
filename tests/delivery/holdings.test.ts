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
  expect(holdings.add([{ ...message(), lease: "3" }], ENDS_MS + 1)).toEqual([]);
  expect(moved).toEqual(["2 to 3"]);
  expect(holding).toMatchObject({ lease: "3", leaseEndsMs: ENDS_MS + 1 });
  expect(holdings.leases()).toEqual([{ seq: "1", lease: "3" }]);
  expect(holdings.current(settlement(message(), "deferred", 1_000)).lease).toBe("3");
});

test("a message that was claimed again while its settlement was under way is begun anew when that was written under the old lease", () => {
  const { holdings, holding } = hold();
  holdings.ended(holding, settlement(message(), "deferred", 1_000));
  expect(holdings.current(settlement(message(), "deferred", 1_000)).lease).toBe("2");
  expect(holdings.add([{ ...message(), lease: "3" }], ENDS_MS + 1)).toEqual([]);
  holdings.remove([holding]);
  const [again] = holdings.claimedAgain([holding]);
  expect(again).toMatchObject({ lease: "3", leaseEndsMs: ENDS_MS + 1, hasEnded: false });
  expect(holdings.get("1")).toBe(again);
});

test("a message that was claimed again before its settlement was said with the new lease has ended with that", () => {
  const { holdings, holding } = hold();
  holdings.ended(holding, settlement(message(), "deferred", 1_000));
  holdings.add([{ ...message(), lease: "3" }], ENDS_MS + 1);
  expect(holdings.current(settlement(message(), "deferred", 1_000)).lease).toBe("3");
  holdings.remove([holding]);
  expect(holdings.claimedAgain([holding])).toEqual([]);
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
  holdings.add([{ ...message(), lease: "3" }], ENDS_MS + 1);
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
