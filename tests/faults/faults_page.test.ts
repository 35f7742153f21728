import { expect, test } from "bun:test";
import { join } from "node:path";
import { RELAY_FAULTS, TRANSPORT_FAULTS } from "./named_faults.ts";
import { faultsOnPage, inWords, pageOf } from "./page.ts";

const MEASURED = { mailchute: "sent", nodemailer: "sent" };

test("docs/faults.md has exactly the faults of the suite: bun tests/faults/compare.ts --write measures them anew", async () => {
  const page = await Bun.file(join(import.meta.dir, "../../docs/faults.md")).text();
  const names = (faults: readonly { readonly id: string; readonly name: string }[]): readonly string[] =>
    faults.map(({ id, name }) => `${id} ${name}`).sort();
  expect(names(faultsOnPage(page))).toEqual(names([...TRANSPORT_FAULTS, ...RELAY_FAULTS]));
});

test("the page gives back the faults that were written to it, bars in their names too", () => {
  const faults = [{ id: "C01", name: "refused" }, { id: "S12", name: "a | b" }];
  expect(faultsOnPage(pageOf(faults.map((fault) => ({ ...fault, ...MEASURED })), { method: "By hand." }))).toEqual(
    faults,
  );
});

test.each([
  ["sent final 250", "sent"],
  ["deferred rcpt recipient 450", "deferred (rcpt 450)"],
  ["uncertain final network none, sent final 250", "uncertain (final), sent"],
  ["untried connect_refused connect", "untried: connect_refused"],
  ["untried shutting_down greeting 421", "untried: shutting_down 421"],
])("the page says %p as %p", (outcome, words) => {
  expect(inWords(outcome)).toBe(words);
});
