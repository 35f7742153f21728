import { expect, test } from "bun:test";
import { meaningOfEnd, troubleOf } from "../../relay/smtp/ending.ts";
import { REPLY_RULES, ruleFor, verdictOn } from "../../relay/smtp/outcome.ts";

const PHASES = Object.keys(REPLY_RULES) as (keyof typeof REPLY_RULES)[];
const ENHANCED = ["x.0.0", "x.1.1", "x.2.2", "x.3.4", "x.5.3", "x.7.0", "x.7.1", undefined];

test("every phase ends in a row that fits every code, so that the table is closed", () => {
  for (const phase of PHASES) {
    expect(REPLY_RULES[phase].at(-1)).toMatchObject({ code: "any" });
    expect(REPLY_RULES[phase].filter(({ code, enhanced }) => code === "any" && enhanced === undefined)).toHaveLength(1);
  }
});

test("every row of the table decides something: none is hidden by those before it", () => {
  for (const phase of PHASES) {
    const used = new Set<unknown>();
    for (let code = 200; code < 600; code++) {
      for (const enhanced of ENHANCED) {
        for (const hasAccepted of [false, true]) {
          const text = "";
          const reply = enhanced === undefined
            ? { code, text }
            : { code, text, enhanced: enhanced.replace("x", String(Math.trunc(code / 100))) };
          used.add(ruleFor(phase, reply, { hasAccepted }));
        }
      }
    }
    expect(REPLY_RULES[phase].filter((rule) => !used.has(rule))).toEqual([]);
  }
});

test("no code of any phase blames the recipient for what the route refuses", () => {
  for (const phase of ["mail", "rcpt", "data", "body", "final"] as const) {
    for (const code of [421, 503, 530, 535, 538]) {
      const verdict = verdictOn(phase, { code, text: "" });
      expect(verdict.then === "end" || (verdict.then === "defer" && verdict.blame === "route")).toBe(true);
    }
  }
});

test("a 4yz never bounces and a 5yz never goes on", () => {
  for (const phase of PHASES) {
    for (let code = 400; code < 500; code++) {
      expect(["bounce", "go"]).not.toContain(verdictOn(phase, { code, text: "" }).then);
    }
    for (let code = 500; code < 600; code++) expect(verdictOn(phase, { code, text: "" }).then).not.toBe("go");
  }
});

test("only after the final dot can the end of a connection be uncertain, and never after a refusal", () => {
  const closed = troubleOf("closed", "final", { reason: "away" });
  const refused = troubleOf("shutting_down", "final", { reply: { code: 421, text: "closing" } });
  expect(meaningOfEnd("untouched", closed)).toBeUndefined();
  expect(meaningOfEnd("started", closed)).toEqual({ kind: "deferred", blame: "network" });
  expect(meaningOfEnd("started", refused)).toEqual({ kind: "deferred", blame: "route" });
  expect(meaningOfEnd("committed", closed)).toEqual({ kind: "uncertain", blame: "network" });
  expect(meaningOfEnd("committed", refused)).toEqual({ kind: "deferred", blame: "route" });
});
