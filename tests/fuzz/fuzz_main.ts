import { runFuzz } from "./run_fuzz.ts";

// The process that is watched: bun tests/fuzz/fuzz_main.ts SEED RUNS. One line before each batch, and the report as the
// last.

const [seed, runs] = process.argv.slice(2).map(Number);
if (seed === undefined || runs === undefined) throw new Error("usage: bun tests/fuzz/fuzz_main.ts SEED RUNS");
const report = await runFuzz({ seed, runs, onBatch: (batch) => console.log(`batch ${batch}`) });
console.log(JSON.stringify(report));
process.exit(0);
