import { parseArgs } from "node:util";
import { BENCHMARKS } from "./all.ts";
import type { Effort, Section } from "./benchmark.ts";
import { rewriteFigures, withBenchmarks } from "./figures_page.ts";
import { type Lab, openLab } from "./lab.ts";
import { describeMachine } from "./machine.ts";
import { renderPage, renderSection } from "./report.ts";
import type { SinkKind } from "./sink.ts";
import { load, renderTargets } from "./targets.ts";

// The program: `bun bench/run.ts [NAME] [--quick] [--sink smtp-sink|bun] [--write]`.

const NAMES = BENCHMARKS.map(({ name }) => name).join(", ");
const USAGE = `usage: bun bench/run.ts [NAME] [--quick] [--sink smtp-sink|bun] [--write]

  NAME     only this one: ${NAMES}
  --quick  small sizes, for a look while others use the machine; not for figures
  --sink   the SMTP server [default: smtp-sink where it is installed]
  --write  write docs/figures.md`;

interface Wanted {
  readonly name: string | undefined;
  readonly effort: Effort;
  readonly sinkKind: SinkKind | undefined;
  readonly write: boolean;
}

const wanted = parse(process.argv.slice(2));
if (wanted === undefined) {
  console.log(USAGE);
} else if (typeof wanted === "string") {
  console.error(`${wanted}\n${USAGE}`);
  process.exitCode = 2;
} else {
  await using lab = await openLab({ sinkKind: wanted.sinkKind });
  await run(lab, wanted);
}

async function run(lab: Lab, { name, effort, write }: Wanted): Promise<void> {
  const facts = describeMachine(lab, new Date());
  console.log(facts.map(([fact, value]) => `${fact}: ${value}`).join("\n"));
  const sections = new Map<string, Section>();
  const before = load();
  for (const benchmark of BENCHMARKS.filter((benchmark) => name === undefined || benchmark.name === name)) {
    const section = await benchmark.run(lab, effort);
    console.log(`\n${renderSection(section)}`);
    sections.set(benchmark.name, section);
  }
  const targets = renderTargets(sections, { isQuick: effort === "quick", loads: [before, load()] });
  console.log(`\n${targets}`);
  if (write) {
    rewriteFigures((page) => withBenchmarks(page, renderPage(facts, { targets, sections: [...sections.values()] })));
  }
}

/** Reads the command line: what is wanted, undefined for help, or what is wrong with it. */
function parse(args: readonly string[]): Wanted | string | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        quick: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
        sink: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) return undefined;
    const [name, ...more] = positionals;
    if (more.length > 0) return "Cannot run more than one by name: leave the names out to run all";
    if (name !== undefined && !BENCHMARKS.some((benchmark) => benchmark.name === name)) {
      return `Cannot run ${name}: there are ${NAMES}`;
    }
    const { sink, write, quick } = values;
    if (sink !== undefined && sink !== "smtp-sink" && sink !== "bun") {
      return `Cannot use --sink ${sink}: it is smtp-sink or bun`;
    }
    if (write && (name !== undefined || quick)) {
      return "Cannot write docs/figures.md from a part or a quick look: leave out the name and --quick";
    }
    return { name, effort: quick ? "quick" : "full", sinkKind: sink, write };
  } catch (error) {
    return `Cannot read the command line: ${error instanceof Error ? error.message : error}`;
  }
}
