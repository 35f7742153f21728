import { loadavg } from "node:os";
import type { Section } from "./benchmark.ts";
import type { Measured } from "./measure.ts";
import { renderTable } from "./report.ts";

// What the house has set itself, row by row, beside what one run of the benchmarks has found. Rows are found by the
// words of the benchmarks: tests/bench.test.ts fails when a word changes there and not here.

/** What one run has found, by the names of the benchmarks. */
export type Sections = ReadonlyMap<string, Section>;

/** What was found for one target. */
interface Finding {
  readonly measured: string;
  /** Against whom and by how much, where there is a peer. */
  readonly ratio?: string;
  readonly isMet: boolean;
}

interface Target {
  readonly work: string;
  readonly target: string;
  /** The benchmark that measures it. */
  readonly by: string;
  readonly find: (section: Section) => Finding;
}

/** Everything of section 7 of the design, in its order, and what else was promised of long lists. */
export const TARGETS: readonly Target[] = [
  {
    work: "queue → SMTP 250 → settled",
    target: "≥ 12,000 mails/s",
    by: "deliver",
    find: (section) => atLeast(rowOf(section, "mails/s", "relay, in this process"), 12_000, "mails/s"),
  },
  ...[["nodemailer's pool", 5], ["graphile-worker", 10]].map(([peer, times]): Target => ({
    work: `the same beside ${peer}`,
    target: `≥ ${times} ×`,
    by: "deliver",
    find: (section) => ratioAtLeast(rowOf(section, "mails/s", "relay, in this process"), String(peer), Number(times)),
  })),
  {
    work: "round trips a mail on one connection",
    target: "1",
    by: "round-trips",
    // Greeting and EHLO are a trip too, of all mails together.
    find: (section) => atMost(rowOf(section, "round trips a mail", "mailchute's"), 1.05, ""),
  },
  ...[["postgres.js", 1], ["Neon over HTTP", 2]].map(([driver, limit]): Target => ({
    work: `bulk enqueue, 50,000 recipients sharing content, ${driver}`,
    target: `≤ ${limit} s`,
    by: "send-many",
    find: (section) => atMost(rowOf(section, "s", `sendMany, ${driver}`), Number(limit), "s"),
  })),
  {
    work: "the same, on the wire beside the content",
    target: "≤ 4 MB",
    by: "send-many",
    find: (section) => atMost(rowOf(section, "MB sent beside the content", "sendMany"), 4, "MB"),
  },
  ...["1 writer", "8 writers"].flatMap((writers) =>
    ["no relay", "a relay delivers meanwhile"].map((state): Target => ({
      work: `single enqueue, ${writers}, ${state}`,
      target: "≥ 0.9 × a bare insert",
      by: "enqueue",
      find: (section) =>
        ratioAtLeast(rowOf(section, `commits/s, ${writers}`, `mail.send, ${state}`), "bare insert", 0.9),
    }))
  ),
  {
    work: "commit → claimed, idle relay, p50",
    target: "≤ 5 ms",
    by: "latency",
    find: (section) => atMost(rowOf(section, "ms, commit → MAIL", "relay, p50"), 5, "ms"),
  },
  {
    work: "claim beside finished and waiting mails",
    target: "flat within 20 %",
    by: "scale",
    find: (section) => isFlat(rowOf(section, "ms, claim of 100", /finished and/), "nothing else"),
  },
  {
    work: "claim while a snapshot is held",
    target: "flat within 20 %",
    by: "scale",
    find: (section) => isFlat(rowOf(section, /^ms, claim of 100, with floors/, "the last tenth"), "the first tenth"),
  },
  {
    work: "claim of what is due beside a million scheduled mails",
    target: "flat within 20 %",
    by: "scheduled",
    find: (section) => isFlat(rowOf(section, "ms, claim of 100", /scheduled mails, enqueued/), "no scheduled mails"),
  },
  {
    work: "enqueue of 50,000 beside a million suppressed addresses",
    target: "≤ 1.3 × without them",
    by: "suppressions",
    find: (section) => {
      const row = rowOf(section, "s, sendMany", /on the suppression list$/);
      return { ...ratioAtLeast(row, "an empty suppression list", 1 / 1.3), measured: amount(row.median, "s") };
    },
  },
  {
    work: "client with valibot, gzipped, as it is loaded at the start",
    target: "≤ 8 KiB",
    by: "bundle",
    find: (section) => atMost(rowOf(section, "KB", "mod.ts, at the start"), 8.192, "KB"),
  },
  {
    work: "import of the client",
    target: "≤ 5 ms",
    by: "bundle",
    find: (section) => atMost(rowOf(section, "ms, import", "mod.ts"), 5, "ms"),
  },
  {
    work: "import of the client at an edge isolate's start",
    target: "≤ 5 ms",
    by: "bundle",
    find: (section) => atMost(rowOf(section, "ms more for an isolate", "mod.ts"), 5, "ms"),
  },
  ...[/^relay, \d\d+ mails$/, /^relay, .* attached$/].map((name, index): Target => ({
    work: index === 0 ? "memory of the relay, many small mails" : "memory of the relay, large attachments",
    target: "≤ 150 MB",
    by: "memory",
    find: (section) => atMost(rowOf(section, "MiB at the peak", name), 150 * 1e6 / 2 ** 20, "MiB"),
  })),
];

/**
 * One line for each target; those whose benchmark was not run say so.
 * @param options `isQuick`: sizes are not those of the targets
 */
export function renderTargets(
  sections: Sections,
  options: { readonly isQuick: boolean; readonly loads: readonly [before: number, after: number] },
): string {
  const rows = TARGETS.map(({ work, target, by, find }) => {
    const section = sections.get(by);
    if (section === undefined) return [work, target, "not in this run", "", "not measured"];
    const { measured, ratio = "", isMet } = find(section);
    return [work, target, measured, ratio, isMet ? "met" : "**not met**"];
  });
  const [before, after] = options.loads.map((load) => load.toFixed(1));
  return [
    "## Targets",
    `Load of the machine (1 min) before the run ${before}, after it ${after}. ` +
    (options.isQuick
      ? "A quick look, with small sizes: not the work that the targets are about."
      : "All from this run."),
    renderTable([["work", "target", "measured", "ratio", ""], ...rows]),
  ].join("\n\n");
}

/** How many processes wanted to run, in the last minute. */
export function load(): number {
  return loadavg()[0] ?? Number.NaN;
}

/** @throws {Error} when the benchmark has no such row */
function rowOf({ title, tables }: Section, unit: string | RegExp, name: string | RegExp): Measured {
  const fits = (text: string, wanted: string | RegExp) =>
    typeof wanted === "string" ? text === wanted || text.startsWith(wanted) : wanted.test(text);
  const table = tables.find((each) => each.unit === unit) ?? tables.find((each) => fits(each.unit, unit));
  const row = table?.rows.find((each) => fits(each.name, name));
  if (row === undefined) throw new Error(`Cannot find ${name} (${unit}) in ${title}`);
  return row;
}

function atLeast({ median }: Measured, least: number, unit: string): Finding {
  return { measured: amount(median, unit), isMet: median >= least };
}

function atMost({ median }: Measured, most: number, unit: string): Finding {
  return { measured: amount(median, unit), isMet: median <= most };
}

function ratioAtLeast(row: Measured, peer: string, least: number): Finding {
  const ratio = row.ratios.find(({ against }) => against.startsWith(peer));
  if (ratio === undefined) throw new Error(`Cannot find ${peer} beside ${row.name}`);
  return { measured: amount(row.median, ""), ratio: `${ratio.median.toFixed(2)} ×`, isMet: ratio.median >= least };
}

function isFlat(row: Measured, peer: string): Finding {
  return { ...ratioAtLeast(row, peer, 1 / 1.2), measured: amount(row.median, "ms") };
}

function amount(value: number, unit: string): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const text = value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${text} ${unit}`.trim();
}
