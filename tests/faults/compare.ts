import { join } from "node:path";
import nodemailerPackage from "nodemailer/package.json" with { type: "json" };
import packageJson from "../../package.json" with { type: "json" };
import { RELAY_FAULTS, TRANSPORT_FAULTS } from "./named_faults.ts";
import { pageOf, type Row } from "./page.ts";
import { HASTE, PATIENCE_MS } from "./run_nodemailer.ts";
import { summary } from "./summary.ts";

/**
 * Runs every fault against mailchute and against nodemailer, and prints a table of what came out.
 *
 * `bun tests/faults/compare.ts`; with `--write` it becomes docs/faults.md.
 */

/** A process that has said nothing by then is frozen: its own timers should have told. */
const FROZEN_MS = 12 * PATIENCE_MS;

/** Computing for so long says that it spins. */
const SPIN_MS = 3 * PATIENCE_MS;

async function outcomeOf(client: "mailchute" | "nodemailer", number: number): Promise<string> {
  const child = Bun.spawn({
    cmd: [process.execPath, join(import.meta.dir, "one_fault.ts"), client, String(number)],
    stdout: "pipe",
    stderr: "pipe",
  });
  const frozen = setTimeout(() => child.kill("SIGKILL"), FROZEN_MS);
  const [printed, complaint] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const exitCode = await child.exited;
  clearTimeout(frozen);
  if (child.signalCode !== null) {
    const computedMs = Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1_000;
    return computedMs > SPIN_MS ? "the process spins" : "the process freezes";
  }
  if (exitCode !== 0) throw new Error(`Cannot run fault ${number} against ${client}: ${complaint}`);
  return summary(JSON.parse(printed) as readonly string[]);
}

const faults = [...TRANSPORT_FAULTS, ...RELAY_FAULTS];
const rows: Row[] = [];
for (const [number, { id, name }] of faults.entries()) {
  const [mailchute, nodemailer] = await Promise.all([outcomeOf("mailchute", number), outcomeOf("nodemailer", number)]);
  const row = { id, name, mailchute, nodemailer };
  console.error(`${row.id}  ${row.name}\n     mailchute:  ${row.mailchute}\n     nodemailer: ${row.nodemailer}`);
  rows.push(row);
}
const method =
  `Measured by \`bun tests/faults/compare.ts --write\` in one run: mailchute ${packageJson.version} and nodemailer \
${nodemailerPackage.version} on Bun ${Bun.version}, both with one
connection unless the fault needs more, each mail of nodemailer given up after ${
    PATIENCE_MS / 1_000
  } s. Where minutes pass, mailchute has a clock of the test; nodemailer,
with its default waits, and its server run ${HASTE} times as fast. nodemailer does not speak BDAT: what is wrong with that does not reach it.
On Node 20.20.2, run once beside it, nodemailer 10.6.0 did the same, but for D04 (ECONNECTION) and D05 (ETIMEDOUT).`;
const page = pageOf(rows.toSorted((a, b) => order(a.id) - order(b.id)), { method });
if (process.argv.includes("--write")) await Bun.write(join(import.meta.dir, "../../docs/faults.md"), page);
else console.log(page);
process.exit(0);

/** C, E, T, A, M, D, S, as a dialogue goes; the entries of one number keep their order. */
function order(id: string): number {
  return "CETAMDS".indexOf(id.charAt(0)) * 100 + Number(id.slice(1));
}
