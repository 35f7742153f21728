import { expect, test } from "bun:test";
import { afterPage, type CopyState, type HomeHead, type Pass, passOf } from "../../relay/suppression/pass.ts";

// What is to be copied, by what the copy remembers and what the home database says.

const HEAD: HomeHead = { epoch: "e1", snapshot: "100:105:100,103", forgotten: "0", isChanged: true };
const IN_STEP: CopyState = { epoch: "e1", seen: "90:95:90", pass: null };
const NOTHING: CopyState = { epoch: null, seen: null, pass: null };
const START = { at: "0", address: "" };

test("a copy in step takes what its snapshot has not seen, from the oldest transaction that ran then, and nothing when nothing has changed", () => {
  expect(passOf(IN_STEP, HEAD)).toEqual({
    ...{ epoch: "e1", from: "90:95:90", upto: HEAD.snapshot, stage: "rows" },
    after: { at: "90", address: "" },
  });
  expect(passOf(IN_STEP, { ...HEAD, isChanged: false })).toBeUndefined();
});

test.each<readonly [why: string, state: CopyState, head: HomeHead]>([
  ["it is new", NOTHING, HEAD],
  ["home lives another life", IN_STEP, { ...HEAD, epoch: "e2", isChanged: false }],
  ["home was put back to an earlier time", { ...IN_STEP, seen: "99:106:99" }, { ...HEAD, isChanged: false }],
  ["home has forgotten a removal that it may not have seen", IN_STEP, { ...HEAD, forgotten: "90", isChanged: false }],
])("a copy is compared as a whole when %s", (_why, state, head) => {
  expect(passOf(state, head)).toEqual({
    ...{ epoch: head.epoch, from: null, upto: head.snapshot, stage: "sweep", after: START },
  });
});

test("a removal that was forgotten after it was seen costs nothing", () => {
  expect(passOf(IN_STEP, { ...HEAD, forgotten: "89", isChanged: false })).toBeUndefined();
});

test("a pass under way goes on where it was, whatever has changed since, unless home lives another life or was put back", () => {
  const pass: Pass = { epoch: "e1", from: null, upto: "80:85:", stage: "rows", after: { at: "12", address: "a@b" } };
  const state = { ...NOTHING, pass };
  expect(passOf(state, HEAD)).toBe(pass);
  // Nothing of it is read from the record of removals.
  expect(passOf(state, { ...HEAD, forgotten: "99" })).toBe(pass);
  expect(passOf(state, { ...HEAD, epoch: "e2" })?.stage).toBe("sweep");
  expect(passOf(state, { ...HEAD, snapshot: "84:84:" })?.stage).toBe("sweep");
  const partial: Pass = { ...pass, from: "70:70:" };
  expect(passOf({ ...IN_STEP, pass: partial }, HEAD)).toBe(partial);
  expect(passOf({ ...IN_STEP, pass: partial }, { ...HEAD, forgotten: "70" })?.from).toBe("90:95:90");
});

test("page by page a whole comparison becomes a copy in step", () => {
  const pass = passOf(NOTHING, HEAD) as Pass;
  const swept = afterPage(NOTHING, pass, { at: "0", address: "k@example.com" });
  expect(swept.pass).toMatchObject({ stage: "sweep", after: { address: "k@example.com" } });
  const rows = afterPage(swept, swept.pass as Pass, undefined);
  expect(rows.pass).toMatchObject({ stage: "rows", after: START });
  const some = afterPage(rows, rows.pass as Pass, { at: "7", address: "a@example.com" });
  expect(some).toMatchObject({ epoch: null, seen: null, pass: { stage: "rows", after: { at: "7" } } });
  expect(afterPage(some, some.pass as Pass, undefined)).toEqual({ epoch: "e1", seen: HEAD.snapshot, pass: null });
});
