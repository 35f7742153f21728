import { expect, test } from "bun:test";
import { checked, fail, ok, report, span } from "../../relay/doctor/finding.ts";

test("a report names each subject once, and puts what to do below what was found", () => {
  const text = report([
    { subject: "database home", ...ok("clock", "agrees with ours") },
    { subject: "database home", ...fail("rights", "none", "grant some") },
    { subject: "route default", ...ok("login", "accepted") },
  ]);
  expect(text.split("\n")).toEqual([
    "database home",
    "  ok    clock         agrees with ours",
    "  fail  rights        none",
    "                      → grant some",
    "route default",
    "  ok    login         accepted",
  ]);
});

test("what a server says forges no line and paints no terminal", () => {
  const text = report([{ subject: "s", ...ok("banner", "220 hi\r\n  fail  forged \u001b[31mred\u009b\u2028x") }]);
  expect(text.split("\n")).toHaveLength(2);
  expect(text).not.toMatch(/[\u001b\u009b\u2028\r]/);
});

test("a check that throws is a failure of its own, so that the others still run", async () => {
  const findings = await checked("apps", { fix: "look" }, () => Promise.reject(new Error("gone")));
  expect(findings).toEqual([{ check: "apps", level: "fail", found: "It cannot be looked at: gone", fix: "look" }]);
});

test.each([[0.4, "0.4 ms"], [12, "12 ms"], [-1_500, "1.5 s"], [90_000, "2 min"], [7_200_000, "2 h"], [
  1_814_400_000,
  "21 days",
]])("%d ms are %s", (ms, shown) => expect(span(ms)).toBe(shown));
