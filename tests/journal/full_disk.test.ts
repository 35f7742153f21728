import { expect } from "bun:test";
import { join } from "node:path";
import { Journal } from "../../relay/journal/journal.ts";
import { recordLine } from "../../relay/journal/record.ts";
import { systemClock } from "../../relay/time/clock.ts";
import { testWith } from "../debian.ts";
import { temporaryDirectory } from "../relay_process.ts";

const NEEDED = { program: Bun.which("prlimit") ?? undefined, package: "util-linux" };
const LINE = recordLine({
  kind: "intent",
  mark: { database: "home", seq: "100", lease: "1" },
  route: "default",
  positions: [0],
}).length;

/** How much of the line that does not fit is written: nothing, a little, all but its line end. */
const TORN = [0, 1, LINE >> 1, LINE - 1];

for (const torn of TORN) {
  testWith(
    NEEDED,
    `a disk that is full after ${torn} of ${LINE} octets of an intent: it is refused and leaves nothing, and with room again the next is noted`,
    async () => {
      using folder = temporaryDirectory();
      const directory = join(folder.path, "journal");
      // A write beyond the limit is a signal, unless that is ignored; then it is an error.
      const child = Bun.spawn([
        ...["sh", "-c", `trap '' XFSZ; exec prlimit --fsize=${LINE * 20 + torn}:unlimited "$@"`, "sh"],
        ...[process.execPath, join(import.meta.dir, "writer.ts"), directory],
      ], {
        stdin: "pipe",
        stdout: "pipe",
        stderr: "inherit",
        env: { ...process.env, BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0" },
      });
      const said: string[] = [];
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
        said.push(...text.trim().split("\n"));
        if (said.length > 1) continue;
        expect(JSON.parse(text)).toEqual({ refused: 120, trouble: expect.stringContaining("EFBIG") });
        const lifted = Bun.spawn(["prlimit", "--pid", String(child.pid), "--fsize=unlimited"]);
        expect(await lifted.exited).toBe(0);
        child.stdin.write("\n");
        await child.stdin.end();
      }
      await child.exited;
      expect(said.map((text) => JSON.parse(text))).toEqual([expect.anything(), { trouble: null }]);

      const next = new Journal(directory, systemClock.after);
      const seqs = [...next.found.databases].flatMap((database) =>
        [...next.found.of(database)].map(({ mark }) => mark.seq)
      );
      expect(seqs).toEqual([...Array.from({ length: 20 }, (_, index) => String(100 + index)), "121"]);
      expect(next.damagedLines).toBe(0);
      next.close();
    },
  );
}
