import { expect, test } from "bun:test";
import { join } from "node:path";
import { runProgram } from "../../bench/relay_process.ts";

const SOAK = join(import.meta.dir, "../../bench/soak.ts");

for (
  const [args, problem] of [
    [["nothing"], "Cannot run nothing: there are history,"],
    [["history", "kills"], "Cannot run more than one"],
    [["--seconds", "soon"], "Cannot use --seconds: it has to be a whole number of 1 or more"],
    [["--seeds", "0"], "Cannot use --seeds"],
    [["kills", "--write"], "Cannot write docs/figures.md from a part"],
    [["--fast"], "Cannot read the command line"],
  ] as const
) {
  test(`bench/soak.ts ${args.join(" ")} ends with 2 and says why`, async () => {
    await expect(runProgram([SOAK, ...args])).rejects.toThrow(new RegExp(`ended with 2: ${problem}`));
  });
}
