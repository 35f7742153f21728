import { BATCH, type FuzzReport } from "../tests/fuzz/run_fuzz.ts";
import { watchFuzz } from "../tests/fuzz/watch_fuzz.ts";

// npm run fuzz: hands random mails to the client and looks at what becomes of each. FUZZ_SEED=N for the same again,
// FUZZ_RUNS=N for how many calls.

const DEFAULT_RUNS = 20_000;
const TOLD_EVERY = 10 * BATCH;

const seed = numberOf("FUZZ_SEED", Date.now() % 1_000_000);
const runs = numberOf("FUZZ_RUNS", DEFAULT_RUNS);
console.log(`seed ${seed}, ${runs} calls of the client`);
const started = performance.now();
const report = await watchFuzz({
  seed,
  runs,
  onProgress: (done) => {
    if (done > 0 && done % TOLD_EVERY === 0) console.log(`${done} calls`);
  },
});
tell(report);
process.exit(report.findings.length === 0 ? 0 : 1);

function tell({ calls, refused, delivered, mails, findings }: FuzzReport): void {
  for (const { seed, kind, index, faults, input } of findings) {
    console.log(`\nFOUND in ${kind}, FUZZ_SEED=${seed} FUZZ_RUNS=${BATCH}, number ${index}:`);
    for (const fault of faults) console.log(`  - ${fault}`);
    console.log(`  ${input.slice(0, 4_000)}`);
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(
    `${calls} calls of the client in ${seconds} s, seed ${seed}: ${refused} refused with the place of the fault, ${delivered} delivered ` +
      `as ${mails} mails, ${findings.length} findings`,
  );
}

function numberOf(name: string, otherwise: number): number {
  const text = process.env[name];
  if (text === undefined || text === "") return otherwise;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  console.error(`Cannot read ${name}: it is not a whole number from 1 to 999999999`);
  process.exit(2);
}
