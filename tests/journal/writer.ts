import { Journal } from "../../relay/journal/journal.ts";
import type { Mark } from "../../relay/journal/record.ts";
import { systemClock } from "../../relay/time/clock.ts";

// A process of its own, whose files may not grow beyond a size: as good as a full disk, since a write ends in the
// middle of a line. Writes until it is refused, waits for a word on its standard input (there is room again), writes
// once more, and is killed.

const [directory = ""] = process.argv.slice(2);
const journal = new Journal(directory, systemClock.after);
const markOf = (seq: number): Mark => ({ database: "home", seq: String(seq), lease: "1" });

let seq = 100;
for (let isRefused = false; !isRefused;) {
  try {
    journal.intent(markOf(seq), "default", [0]);
    seq++;
  } catch {
    isRefused = true;
  }
}
console.log(JSON.stringify({ refused: seq, trouble: journal.trouble() }));
for await (const _ of Bun.stdin.stream()) {
  const trouble = journal.trouble();
  journal.intent(markOf(seq + 1), "default", [0]);
  console.log(JSON.stringify({ trouble: trouble ?? null }));
  process.kill(process.pid, "SIGKILL");
}
