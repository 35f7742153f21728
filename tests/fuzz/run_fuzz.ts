import fc from "fast-check";
import { type Bench, openBench, type Verdict } from "./bench.ts";
import { bulkCall } from "./bulk_call.ts";
import { bulkDraft } from "./bulk_draft.ts";
import type { Call } from "./call.ts";
import { messageCall } from "./message_call.ts";
import { messageDraft } from "./message_draft.ts";

// DESIGN: calls are made and judged in batches, each of which has a seed of its own, one more than the one before: so a
// finding is run again by the seed of its batch alone. What is made of a seed is the same on every machine; times and
// ids are not.

/** One way to call the client. */
interface Kind {
  readonly name: "send" | "sendMany";
  readonly calls: fc.Arbitrary<Call>;
}

const SEND: Kind = { name: "send", calls: messageDraft.map(messageCall) };
const SEND_MANY: Kind = { name: "sendMany", calls: bulkDraft.map(bulkCall) };

/** Calls of a batch. */
export const BATCH = 100;
/** Which batches are bulk sends, by their seed. */
const MANY_EVERY = 4;
/** How long a smaller input is looked for that has the same fault. */
const SHRINK_MS = 20_000;
/** Faults are alike more often than not. */
const MOST_SHRUNK = 3;

/** Something that must not be. */
export interface Finding {
  /** Of its batch: `FUZZ_SEED` for it alone. */
  readonly seed: number;
  readonly kind: Kind["name"];
  /** Its place in the batch. */
  readonly index: number;
  readonly faults: readonly string[];
  /** What was handed in, as small as it could be made. */
  readonly input: string;
}

/** What a run has come to. */
export interface FuzzReport {
  readonly calls: number;
  readonly refused: number;
  readonly delivered: number;
  /** What the calls that were delivered became. */
  readonly mails: number;
  readonly findings: readonly Finding[];
}

/** What is to be run. */
export interface FuzzOptions {
  readonly seed: number;
  readonly runs: number;
  /** Called before each batch: who watches knows where it hangs. */
  readonly onBatch: (seed: number) => void;
}

/** Hands random things to the client, and judges what becomes of each. */
export async function runFuzz({ seed: first, runs, onBatch }: FuzzOptions): Promise<FuzzReport> {
  await using bench = await openBench();
  const verdicts: Verdict[] = [];
  const findings: Finding[] = [];
  for (let seed = first; verdicts.length < runs; seed++) {
    onBatch(seed);
    const kind = seed % MANY_EVERY === 0 ? SEND_MANY : SEND;
    const calls = fc.sample(kind.calls, { seed, numRuns: Math.min(BATCH, runs - verdicts.length) });
    const judged = await bench.judge(calls);
    verdicts.push(...judged);
    for (const [index, { faults }] of judged.entries()) {
      if (faults.length === 0) continue;
      const found = { seed, kind: kind.name, index, faults };
      const input = findings.length < MOST_SHRUNK ? await shrunk(bench, kind, found) : calls[index]?.input;
      findings.push({ ...found, input: fc.stringify(input) });
    }
  }
  const count = (outcome: Verdict["outcome"]) => verdicts.filter((verdict) => verdict.outcome === outcome).length;
  return {
    calls: verdicts.length,
    refused: count("refused"),
    delivered: count("delivered"),
    mails: verdicts.reduce((sum, { mails }) => sum + mails, 0),
    findings,
  };
}

async function shrunk(bench: Bench, kind: Kind, { seed, index }: Pick<Finding, "seed" | "index">): Promise<unknown> {
  const isGood = fc.asyncProperty(kind.calls, async (call) => {
    const [verdict] = await bench.judge([call]);
    return verdict?.faults.length === 0;
  });
  const { counterexample } = await fc.check(isGood, {
    seed,
    path: String(index),
    numRuns: 1,
    interruptAfterTimeLimit: SHRINK_MS,
  });
  return counterexample?.[0].input ?? "it is found with the others of its batch only";
}
