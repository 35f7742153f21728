import { expect, test } from "bun:test";
import { thoroughly } from "../thoroughly.ts";
import { runMix } from "./mix.ts";

// What fails prints its seed; `npm run soak -- mix --seed N --seconds 30` is the way to more of it.

for (const seed of thoroughly ? [1, 2] : [1]) {
  test(`whatever apps and operators do at once, rows, copies and answers fit each other (seed ${seed})`, async () => {
    const run = await runMix({ seed, lastsMs: thoroughly ? 15_000 : 4_000 });
    console.log(`  ${run.mails} mails and items, ${run.copies} copies`);
    expect(run.findings).toEqual([]);
    expect(run.mails).toBeGreaterThan(50);
    expect(run.copies).toBeGreaterThan(50);
  }, 120_000);
}
