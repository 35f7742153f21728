import { expect, test } from "bun:test";
import { join } from "node:path";
import { RUNTIMES_PAGE, runtimesPage } from "../scripts/runtimes_page.ts";
import { CASES } from "./client/cases.ts";
import { KINDS } from "./client/kinds.ts";
import { CONNECTIONS, coverage, HYPERDRIVE, programme, RUNTIMES, TRANSACTIONS } from "./runtimes/matrix.ts";

test("docs/runtimes.md is what the table says: run bun scripts/runtimes_page.ts after a change", async () => {
  expect(await Bun.file(join(import.meta.dir, "..", RUNTIMES_PAGE)).text()).toBe(runtimesPage());
});

test("the table has every kind of connection, and Hyperdrive", () => {
  expect(Object.keys(CONNECTIONS).sort()).toEqual([...KINDS.map(({ name }) => name), HYPERDRIVE].sort());
});

test("every cell says what is run, or why nothing is", () => {
  const page = runtimesPage();
  for (const connection of Object.keys(CONNECTIONS)) {
    const row = page.split("\n").find((line) => line.startsWith(`| ${connection} |`)) ?? "";
    const cells = row.split("|").slice(2, -1).map((cell) => cell.trim());
    expect({ connection, cells: cells.length }).toEqual({ connection, cells: RUNTIMES.length });
    for (const cell of cells) expect(cell).not.toBe("");
  }
});

test("what the page calls transactions are cases, and each runtime's tests run what its column says", () => {
  expect(TRANSACTIONS.filter((sentence) => CASES[sentence] === undefined)).toEqual([]);
  for (const runtime of RUNTIMES) {
    for (const connection of Object.keys(CONNECTIONS)) {
      const what = coverage(runtime, connection);
      const wanted = what === "all" ? Object.keys(CASES) : what === "transactions" ? TRANSACTIONS : [];
      const run = programme(runtime, true).filter(([name]) => name === connection).map(([, sentence]) => sentence);
      expect(run.filter((sentence) => CASES[sentence] !== undefined)).toEqual([...wanted]);
    }
  }
});
