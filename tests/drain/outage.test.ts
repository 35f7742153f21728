import { expect, test } from "bun:test";
import { Outage } from "../../relay/drain/outage.ts";
import { ManualClock } from "../manual_clock.ts";

/** An outage that notes what it says, and when it asks to leave alone what others hold. */
function openOutage() {
  const clock = new ManualClock();
  const said: string[] = [];
  const log = { info: (text: string) => void said.push(text), error: (text: string) => void said.push(text) };
  const outage = new Outage({ clock, log, onEnd: () => void said.push("what others hold is left alone") });
  return { clock, said, outage };
}

test("an outage is told once when it begins and once when it ends, and then what others hold is left alone", () => {
  const { said, outage } = openOutage();
  outage.note("claim", undefined);
  expect(said).toEqual([]);
  outage.note("claim", new Error("refused"));
  outage.note("settle", new Error("reset"));
  expect(outage.reason).toBe("reset");
  outage.note("look", undefined);
  outage.note("claim", undefined);
  expect(outage.reason).toBeUndefined();
  expect(said).toEqual(["database does not answer", "database answers again", "what others hold is left alone"]);
});

test("a database is gone when it has answered nothing for 30 seconds from the first failure, and not when it has in between", () => {
  const { clock, outage } = openOutage();
  const fail = () => outage.note("claim", new Error("refused"));
  fail();
  clock.pass(29_999);
  fail();
  expect(outage.isGone).toBe(false);
  clock.pass(1);
  expect(outage.isGone).toBe(true);
  outage.note("claim", undefined);
  expect(outage.isGone).toBe(false);
  fail();
  expect(outage.isGone).toBe(false);
});
