import { cpus } from "node:os";
import type { MixRun } from "../tests/history/mix.ts";
import type { OutageRun } from "../tests/history/outage.ts";
import type { ScenarioRun } from "../tests/history/scenarios.ts";
import type { Run } from "../tests/history/stage.ts";
import { commit } from "./machine.ts";
import { renderTable } from "./report.ts";

/** What a whole soak brought. */
export interface SoakResult {
  readonly histories: readonly Run[];
  readonly mixes: readonly MixRun[];
  /** How long things went wrong in each of them. */
  readonly seconds: number;
  readonly rolling: ScenarioRun;
  readonly restarts: number;
  readonly kills: ScenarioRun;
  readonly killed: number;
  /** Without a kill -9 in the middle, and with one. */
  readonly outages: readonly OutageRun[];
  readonly awayMs: number;
}

/** Writes the section of docs/figures.md. */
export function renderSoak(result: SoakResult, now: Date): string {
  const { histories, mixes, seconds, rolling, restarts, kills, killed, outages, awayMs } = result;
  const [cpu] = cpus();
  const sum = (pick: (mix: MixRun) => number) => number(mixes.reduce((total, mix) => total + pick(mix), 0));
  const seeds = histories.flatMap(({ seed }) => seed ?? []).sort((one, other) => one - other);
  return [
    "## Soak: what is lost, and what is sent twice",
    "Two relays in processes of their own between a Postgres and an SMTP server that misbehave by a seed: kill -9 (at times with the loss of the state " +
    "directory), SIGSTOP for longer than a lease, SIGTERM, ended sessions, restarts and crashes of Postgres, half-open connections, outages of the SMTP server, and " +
    "for one mail in ten a refusal or a broken connection in some phase. Apps enqueue in transactions meanwhile, lose answers and are killed too. At the end apps, " +
    "database and SMTP server are held against each other; `bun run soak --seed N` takes a run again. Copies are counted for each recipient.",
    renderTable([
      ["", ""],
      ["Commit", commit()],
      ["Date", now.toISOString().slice(0, 10)],
      ["CPU", `${cpu?.model ?? "unknown"}, ${cpus().length} cores`],
      ["Runs by seed", `${histories.length} of ${seconds} s (${seeds[0]} to ${seeds.at(-1)}), lease 3 s`],
      ["Faults", faults(histories)],
    ]),
    renderTable([
      [
        "",
        "mails committed",
        "rolled back",
        "lost, or sent though rolled back",
        "copies too many, on record as `uncertain`",
        "not on record, by what had happened",
      ],
      row("runs by seed", histories),
      row(`rolling restart: SIGTERM ${restarts} times`, [rolling.run]),
      row(`kill -9 ${killed} times, one state directory`, [kills.run]),
      ...outages.map(({ run }, index) =>
        row(`Postgres away for ${awayMs / 1_000} s${index === 0 ? "" : ", kill -9 meanwhile"}`, [run])
      ),
    ]),
    "All operations at once, without a kill (send, cancel, reschedule, suppress, retry, pause, purge, digests, reports, a Worker beside two relays, answers that come " +
    `late or never): ${mixes.length} runs of ${seconds} s with the same seeds, ${sum(({ mails }) => mails)} mails, ${
      sum(({ copies }) => copies)
    } copies; ${sum(({ findings }) => findings.length)} findings.`,
  ].join("\n\n");
}

function row(name: string, runs: readonly Run[]): readonly string[] {
  const sum = (pick: (run: Run) => number) => runs.reduce((total, run) => total + pick(run), 0);
  const causes = ["killed", "frozen", "database", "unexplained"] as const;
  const unrecorded = causes.map((cause) => [cause, sum(({ verdict }) => verdict.unrecorded[cause])] as const)
    .filter(([, count]) => count > 0).map(([cause, count]) => `${cause} ${number(count)}`).join(", ");
  return [
    name,
    number(sum(({ verdict }) => verdict.committed)),
    number(sum(({ verdict }) => verdict.rolledBack)),
    number(sum(({ verdict }) => verdict.findings.filter(({ kind }) => kind !== "sent_twice").length)),
    number(sum(({ verdict }) => verdict.recorded)),
    unrecorded || "0",
  ];
}

function faults(runs: readonly Run[]): string {
  const counts = new Map<string, number>();
  for (const { kind } of runs.flatMap(({ schedule }) => schedule)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].sort().map(([kind, count]) => `${kind} ${count}`).join(", ");
}

function number(value: number): string {
  return value.toLocaleString("en-US");
}
