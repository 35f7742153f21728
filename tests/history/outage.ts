import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { JournalMemory } from "../../relay/journal/memory.ts";
import { parseRecord } from "../../relay/journal/record.ts";
import type { Seat } from "./fleet.ts";
import { becomes, pause } from "./pause.ts";
import { close, enqueue, type ScenarioRun, SETTLE_WITHIN_MS } from "./scenarios.ts";
import { openStage, TOLERATED } from "./stage.ts";

/** What came out of an outage of the database. */
export interface OutageRun extends ScenarioRun {
  /** What `/readyz` said in the middle of it. */
  readonly readyz: string;
  /** Mails that the SMTP server took while it lasted. */
  readonly takenWhileAway: number;
  /** Of these, those whose 250 the relay had in its journal at the end of the outage, or when it was killed. */
  readonly inJournal: number;
  /** From the return of the database to the next mail, and until all were settled. */
  readonly againAfterMs: number;
  readonly settledAfterMs: number;
}

/** What happens in an outage. */
export interface OutageOptions {
  readonly mails: number;
  readonly awayMs: number;
  /** kill -9 of the relay in the middle of it; its supervisor starts it again and again. */
  readonly kills: boolean;
}

const LEASE_MS = 5_000;
const NOTICED_MS = 20_000;
/** Slow enough that there is a middle. */
const LAG_MS = 2;

/** Postgres is stopped in the middle of a campaign, and stays away for longer than statements wait and leases last. */
export async function databaseOutage({ mails, awayMs, kills }: OutageOptions): Promise<OutageRun> {
  await using stage = await openStage({ seed: undefined, relays: ["a"], leaseMs: LEASE_MS, lagMs: LAG_MS });
  const { lab, sink, troubles } = stage;
  const seat = stage.seats.get("a") as Seat;
  const startedMs = Date.now();
  await enqueue(stage, { from: 0, to: mails });
  await sink.whenCopies(Math.floor(mails / 4));

  const stoppedMs = Date.now();
  let readyz = "";
  let journal = new Set<string>();
  await lab.restart("fast", async () => {
    const awayUntilMs = Date.now() + awayMs;
    await becomes(async () => (readyz = await seat.readyz()).includes("does not answer"), NOTICED_MS);
    await pause(Math.max(0, awayUntilMs - Date.now()) / 2);
    if (kills) {
      journal = sentIn(seat.directory);
      seat.kill({ losesState: false });
    }
    await pause(Math.max(0, awayUntilMs - Date.now()));
    if (!kills) journal = sentIn(seat.directory);
  });
  const backMs = Date.now();
  troubles.push({ kind: "database", relay: "a", fromMs: stoppedMs, toMs: backMs });
  const run = await stage.end({ startedMs, settleWithinMs: SETTLE_WITHIN_MS, tolerated: TOLERATED });

  const settledMs = Date.now();
  const { copies, rows } = run.history;
  const seqs = new Map(rows.mails.map(({ token, seq }) => [token, seq]));
  const whileAway = copies.filter(({ answer }) =>
    answer !== undefined && answer.atMs > stoppedMs && answer.atMs < backMs
  );
  const next = Math.min(...copies.map(({ receivedMs }) => receivedMs).filter((atMs) => atMs >= backMs));
  return {
    ...close(run),
    readyz,
    takenWhileAway: whileAway.length,
    inJournal: whileAway.filter(({ token }) => journal.has(seqs.get(token) ?? "")).length,
    againAfterMs: next - backMs,
    settledAfterMs: settledMs - backMs,
  };
}

/** The numbers of the mails of which a journal says that the server has them. */
function sentIn(stateDirectory: string): Set<string> {
  const directory = join(stateDirectory, "journal");
  const memory = new JournalMemory();
  for (const name of readdirSync(directory).filter((each) => each.endsWith(".journal")).sort()) {
    for (const line of readFileSync(join(directory, name), "utf8").split("\n")) {
      const record = parseRecord(line);
      if (record !== undefined) memory.add(record);
    }
  }
  const sent = memory.of("home").filter(({ outcomes }) => [...outcomes.values()].some(({ kind }) => kind === "sent"));
  return new Set(sent.map(({ mark }) => mark.seq));
}
