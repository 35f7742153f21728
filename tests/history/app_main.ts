import { writeSync } from "node:fs";
import { produce } from "./producer.ts";

// Two producers in a process of their own, as apps are: what becomes of it (a fault of its driver, kill -9) is not the
// checker's end. Each line that it writes is news for the ledger or a wish, on its way before the next statement is. It
// ends with its standard input.

const [seed = 0, first = 0, life = 0, everyMs = 0] = process.argv.slice(2, 6).map(Number);
const url = process.argv[6] ?? "";
const over = new AbortController();
const tell = (line: unknown) => void writeSync(1, `${JSON.stringify(line)}\n`);

const apps = [first, first + 1].map((number) =>
  produce({
    ...{ seed: seed + life * 7_919, number, url, everyMs, signal: over.signal },
    name: `p${number}l${life}`,
    note: (note) => tell({ note }),
    cutCommit: (cut) => tell({ cut }),
  })
);
for await (const _ of Bun.stdin.stream()) { /* nothing is said there but the end */ }
over.abort();
await Promise.all(apps);
process.exit(0);
