import { parseArgs } from "node:util";
import { type MixRun, runMix } from "../tests/history/mix.ts";
import { databaseOutage, type OutageRun } from "../tests/history/outage.ts";
import { runHistory } from "../tests/history/run_history.ts";
import { CONNECTIONS, killAgainAndAgain, rollingRestart, type ScenarioRun } from "../tests/history/scenarios.ts";
import type { Run } from "../tests/history/stage.ts";
import { summarise, tellRun } from "../tests/history/tell.ts";
import { rewriteFigures, withSoak } from "./figures_page.ts";
import { renderSoak, type SoakResult } from "./soak_report.ts";

// The program behind `npm run soak`.

const USAGE = `usage: bun bench/soak.ts [NAME] [--seed N] [--seconds 60] [--seeds 1] [--at-once 1] [--write]

  NAME       only this one: history (things go wrong by a seed), mix (all operations at once, by a seed), rolling (SIGTERM every 5 s),
             kills (kill -9 fifteen times over 20,000 mails), outage (Postgres stopped for 60 s in the middle of 8,000 mails, twice: the second time with a kill -9 meanwhile)
  --seed     the first seed [default: from the clock]
  --seconds  how long each run of history and mix goes on
  --seeds    how many runs of these, each with the next seed
  --at-once  how many of these go on side by side
  --write    write the result into docs/figures.md`;

const NAMES = ["history", "mix", "rolling", "kills", "outage"] as const;

interface Wanted {
  readonly name: typeof NAMES[number] | undefined;
  readonly seed: number;
  readonly seconds: number;
  readonly seeds: number;
  readonly atOnce: number;
  readonly write: boolean;
}

const ROLLING = { mails: 100_000, restarts: 6, everyMs: 5_000 };
const KILLS = { mails: 20_000, kills: 15 };
const OUTAGE = { mails: 8_000, awayMs: 60_000 };

const wanted = parse(process.argv.slice(2));
if (wanted === undefined) {
  console.log(USAGE);
} else if (typeof wanted === "string") {
  console.error(`${wanted}\n${USAGE}`);
  process.exitCode = 2;
} else {
  process.exit(await soak(wanted) ? 0 : 1);
}

/** Runs what is wanted and tells it. @returns whether nothing was found */
async function soak({ name, seed, seconds, seeds, atOnce, write }: Wanted): Promise<boolean> {
  const asked = (each: Wanted["name"]) => name === undefined || name === each;
  const runs: Run[] = [];
  const tell = (run: Run) => {
    runs.push(run);
    console.log(run.verdict.findings.length > 0 ? tellRun(run) : summarise(run));
  };
  const forEachSeed = async (what: string, run: (seed: number) => Promise<void>) => {
    let next = 0;
    const inTurn = async () => {
      for (let count = next++; count < seeds; count = next++) {
        console.log(`${what}, seed ${seed + count}, ${seconds} s …`);
        await run(seed + count);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, inTurn));
  };
  const lastsMs = seconds * 1_000;
  const histories: Run[] = [];
  if (asked("history")) {
    await forEachSeed("history", async (seed) => {
      const run = await runHistory({ seed, lastsMs });
      histories.push(run);
      tell(run);
    });
  }
  const mixes: MixRun[] = [];
  if (asked("mix")) {
    await forEachSeed("mix", async (seed) => {
      const mix = await runMix({ seed, lastsMs });
      mixes.push(mix);
      const { mails, copies, findings } = mix;
      console.log(
        [`seed ${seed}: ${mails} mails, ${copies} copies, ${findings.length} findings`, ...findings].join("\n  "),
      );
    });
  }
  let rolling: ScenarioRun | undefined;
  if (asked("rolling")) {
    console.log(`rolling restart, ${ROLLING.mails} mails, SIGTERM every ${ROLLING.everyMs} ms …`);
    rolling = await rollingRestart(ROLLING);
    tell(rolling.run);
  }
  let kills: ScenarioRun | undefined;
  let isWithinLimit = true;
  if (asked("kills")) {
    console.log(`kill -9 ${KILLS.kills} times over ${KILLS.mails} mails …`);
    kills = await killAgainAndAgain(KILLS);
    tell(kills.run);
    const most = KILLS.kills * CONNECTIONS;
    isWithinLimit = kills.copiesTooMany <= most;
    if (!isWithinLimit) {
      console.log(`${kills.copiesTooMany} copies too many: ${most} are allowed, one for each connection and kill`);
    }
  }
  const outages: OutageRun[] = [];
  for (const kills of asked("outage") ? [false, true] : []) {
    const how = kills ? ", kill -9 meanwhile" : "";
    console.log(`Postgres stopped for ${OUTAGE.awayMs} ms in the middle of ${OUTAGE.mails} mails${how} …`);
    const outage = await databaseOutage({ ...OUTAGE, kills });
    outages.push(outage);
    tell(outage.run);
    // Every dialogue has ended before the kill.
    isWithinLimit &&= outage.copiesTooMany === 0;
    console.log(
      `/readyz: ${outage.readyz}; taken by the server meanwhile: ${outage.takenWhileAway}, of these in the journal: ${outage.inJournal}; ` +
        `next mail ${outage.againAfterMs} ms after its return, all settled after ${outage.settledAfterMs} ms; copies too many: ${outage.copiesTooMany}`,
    );
  }
  if (write && rolling !== undefined && kills !== undefined) {
    const result: SoakResult = {
      histories,
      mixes,
      seconds,
      rolling,
      kills,
      restarts: ROLLING.restarts,
      killed: KILLS.kills,
      outages,
      awayMs: OUTAGE.awayMs,
    };
    rewriteFigures((page) => withSoak(page, renderSoak(result, new Date())));
  }
  const found = [...runs.map(({ verdict }) => verdict), ...mixes].reduce(
    (sum, { findings }) => sum + findings.length,
    0,
  );
  console.log(
    `${runs.length + mixes.length} runs, ${found} findings${
      asked("history") || asked("mix") ? `; again: --seed ${seed} --seconds ${seconds} --seeds ${seeds}` : ""
    }`,
  );
  return found === 0 && isWithinLimit;
}

/** Reads the command line: what is wanted, undefined for help, or what is wrong with it. */
function parse(args: readonly string[]): Wanted | string | undefined {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        seed: { type: "string" },
        seconds: { type: "string", default: "60" },
        seeds: { type: "string", default: "1" },
        "at-once": { type: "string", default: "1" },
        write: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) return undefined;
    const [name, ...more] = positionals;
    if (more.length > 0) return "Cannot run more than one by name: leave the names out to run all";
    const known = NAMES.find((each) => each === name);
    if (name !== known) return `Cannot run ${name}: there are ${NAMES.join(", ")}`;
    const { write } = values;
    if (write && name !== undefined) return "Cannot write docs/figures.md from a part: leave out the name";
    const numbers = {
      seed: values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed),
      seconds: Number(values.seconds),
      seeds: Number(values.seeds),
      atOnce: Number(values["at-once"]),
    };
    for (const [option, value] of Object.entries(numbers)) {
      if (!Number.isSafeInteger(value) || value < (option === "seed" ? 0 : 1)) {
        return `Cannot use --${option === "atOnce" ? "at-once" : option}: it has to be a whole number${
          option === "seed" ? "" : " of 1 or more"
        }`;
      }
    }
    return { name: known, ...numbers, write };
  } catch (error) {
    return `Cannot read the command line: ${error instanceof Error ? error.message : error}`;
  }
}
