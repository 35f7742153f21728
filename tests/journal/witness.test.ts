import { expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Holding } from "../../relay/delivery/holdings.ts";
import { Journal } from "../../relay/journal/journal.ts";
import { witnessOf } from "../../relay/journal/witness.ts";
import { systemClock } from "../../relay/time/clock.ts";
import { temporaryDirectory } from "../relay_process.ts";

test("while the journal cannot be written no mail that is held is begun: it would come as far as its last line, for nothing", () => {
  using folder = temporaryDirectory();
  const directory = join(folder.path, "journal");
  const journal = new Journal(directory, () => () => undefined);
  const options = { journal, database: "home", leaseMs: 120_000, clock: systemClock };
  const holding = { message: { seq: "7" }, lease: "1", leaseEndsMs: Date.now() + 120_000 } as Holding;
  const witness = witnessOf(holding, "default", options);
  witness.committing([0]);
  expect(witness.mayBegin()).toBe(true);
  // As good as a full disk; a write that goes into a new file shows it.
  rmSync(directory, { recursive: true });
  writeFileSync(directory, "");
  for (let seq = 0; witness.mayBegin(); seq++) {
    if (seq > 20_000) throw new Error("It is never noticed");
    try {
      journal.intent({ database: "home", seq: `${seq}`, lease: "1" }, "default", [0]);
    } catch {
      // The next mail is not begun.
    }
  }
  expect(() => witness.committing([0])).toThrow(directory);
  rmSync(directory);
  expect(journal.trouble()).toBeUndefined();
  expect(witness.mayBegin()).toBe(true);
  journal.close();
});
