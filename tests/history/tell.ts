import { tellCopy, type Verdict } from "./judge.ts";
import { describeFault } from "./schedule.ts";
import type { Run } from "./stage.ts";

/** Findings that are told in full. */
const MOST_FINDINGS = 20;

/** One line about one run. */
export function summarise({ seed, verdict }: Pick<Run, "seed" | "verdict">): string {
  const { findings, committed, rolledBack, lookedUp, recorded, unrecorded } = verdict;
  const without = Object.entries(unrecorded).map(([cause, count]) => `${cause} ${count}`).join(", ");
  return `${
    seed === undefined ? "" : `seed ${seed}: `
  }${findings.length} findings; ${committed} mails committed, ${rolledBack} rolled back, ${lookedUp} looked up; ` +
    `copies too many: ${recorded} on record as uncertain, not on record: ${without}; recipients: ${
      tellStates(verdict)
    }`;
}

/** All that somebody needs who looks into a run with findings. */
export function tellRun(run: Run): string {
  const { verdict, schedule, history } = run;
  const lines = [summarise(run), "schedule:", ...schedule.map(describeFault), "findings:"];
  const told = new Set<string>();
  for (const { kind, token, what } of verdict.findings.slice(0, MOST_FINDINGS)) {
    lines.push(`* ${kind}: ${token ?? ""} ${what}`);
    if (token === undefined || told.has(token)) continue;
    told.add(token);
    lines.push(...tellMail(run, token));
  }
  if (verdict.findings.length > MOST_FINDINGS) lines.push(`and ${verdict.findings.length - MOST_FINDINGS} more`);
  const since = (ms: number) => ((ms - run.startedMs) / 1_000).toFixed(2);
  lines.push(
    "troubles:",
    ...history.troubles.map(({ kind, relay, fromMs, toMs }) =>
      `  ${since(fromMs)} – ${since(toMs)} s ${kind} ${relay ?? ""}`
    ),
  );
  // Why mails still wait, only their relay can say.
  if (verdict.findings.some(({ kind }) => kind === "lost" || kind === "misbehaved")) lines.push(...run.lastWords);
  return lines.join("\n");
}

/** Everything that the three witnesses say about one mail. */
function tellMail({ history, startedMs }: Run, token: string): readonly string[] {
  const since = (ms: number) => `${((ms - startedMs) / 1_000).toFixed(3)} s`;
  const lines: string[] = [];
  const entry = history.ledger.find((each) => each.token === token);
  if (entry !== undefined) lines.push(`    app: ${JSON.stringify(entry)}`);
  for (const copy of history.copies.filter((each) => each.token === token)) {
    const answered = copy.answer === undefined ? "" : ` (${since(copy.answer.atMs)})`;
    lines.push(`    ${since(copy.receivedMs)} sink: ${tellCopy(copy)}${answered}, to ${copy.recipients.join(" ")}`);
  }
  for (const row of history.rows.mails.filter((each) => each.token === token)) {
    lines.push(`    database: ${row.id}, seq ${row.seq}, queue ${JSON.stringify(row.queued)}`);
    for (const { email, state, reason } of row.recipients) lines.push(`    ${email}: ${state} ${reason ?? ""}`);
    for (const { number, position, outcome, phase, reply, relay, atMs } of row.attempts) {
      lines.push(`    ${since(atMs)} attempt ${number}.${position} by ${relay}: ${outcome} (${phase}): ${reply}`);
    }
  }
  return lines;
}

function tellStates({ states }: Verdict): string {
  return Object.entries(states).map(([state, count]) => `${count} ${state}`).join(", ");
}
