import { join } from "node:path";
import { BATCH, type FuzzReport } from "./run_fuzz.ts";

/** A batch takes a second; what takes this long hangs, and would for ever if it never lets a timer fire. */
const HANG_MS = 120_000;

/** What is to be run. */
export interface WatchOptions {
  readonly seed: number;
  readonly runs: number;
  /** Called before each batch with how many calls are done. */
  readonly onProgress?: (done: number) => void;
  /** @default {120_000} */
  readonly hangMs?: number;
  /** @default {that of this folder} */
  readonly program?: string;
}

/**
 * Runs the fuzz in a process of its own, so that even an endless loop is an end: it is killed, and the seed of its
 * batch is told.
 *
 * @throws {Error} when it hangs or ends without a report
 */
export async function watchFuzz(options: WatchOptions): Promise<FuzzReport> {
  const { seed, runs, onProgress, hangMs = HANG_MS, program = join(import.meta.dir, "fuzz_main.ts") } = options;
  const child = Bun.spawn([process.execPath, program, String(seed), String(runs)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  let batch = seed;
  let isHung = false;
  let last = "";
  let timer = setTimeout(hung, hangMs);
  function hung(): void {
    isHung = true;
    child.kill("SIGKILL");
  }
  for await (const line of linesOf(child.stdout)) {
    clearTimeout(timer);
    timer = setTimeout(hung, hangMs);
    last = line;
    const number = /^batch (\d+)$/.exec(line)?.[1];
    if (number === undefined) continue;
    batch = Number(number);
    onProgress?.((batch - seed) * BATCH);
  }
  const code = await child.exited;
  clearTimeout(timer);
  const again = `run it again with FUZZ_SEED=${batch} FUZZ_RUNS=${BATCH}`;
  if (isHung) throw new Error(`It hangs: nothing in ${hangMs} ms from the batch with seed ${batch}: ${again}`);
  if (code !== 0) throw new Error(`It ended with ${code} in the batch with seed ${batch}: ${again}`);
  return JSON.parse(last);
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}
