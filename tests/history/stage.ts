import type { Cause } from "./duplicates.ts";
import { type Misbehaviour, Seat, type Trouble } from "./fleet.ts";
import { type History, judge, type Verdict } from "./judge.ts";
import { type Lab, openLab } from "./lab.ts";
import { Ledger } from "./ledger.ts";
import { becomes, pause } from "./pause.ts";
import { readRows } from "./rows.ts";
import type { Planned, RelayName } from "./schedule.ts";
import { type Sink, startSink } from "./sink.ts";

/** A run and what came out of it. */
export interface Run {
  /** Undefined: nothing was left to chance. */
  readonly seed: number | undefined;
  readonly schedule: readonly Planned[];
  readonly startedMs: number;
  readonly history: History;
  readonly verdict: Verdict;
  /** What each relay printed last. */
  readonly lastWords: readonly string[];
}

const LAST_WORDS = 40;

/** What a stage is opened with. */
export interface StageOptions {
  /** For the SMTP server; undefined: it takes every mail. */
  readonly seed: number | undefined;
  readonly relays: readonly RelayName[];
  readonly leaseMs: number;
  /** How long the SMTP server thinks about each mail. @default {0} */
  readonly lagMs?: number;
}

/** How a run ends. */
export interface EndOptions {
  readonly schedule?: readonly Planned[];
  readonly startedMs: number;
  /** How long the relays may take for what is left. */
  readonly settleWithinMs: number;
  readonly tolerated: ReadonlySet<Cause>;
}

/** A database, an SMTP server, the relays between them, and what is noted about them. */
export interface Stage extends AsyncDisposable {
  readonly lab: Lab;
  readonly sink: Sink;
  readonly seats: ReadonlyMap<RelayName, Seat>;
  readonly ledger: Ledger;
  readonly troubles: Trouble[];
  /** Waits until nothing is due, ends the relays, and judges. */
  end(options: EndOptions): Promise<Run>;
}

/**
 * What may be sent twice without an `uncertain` attempt on record: nothing, whatever had happened. A cause named here
 * is counted and not found fault with.
 */
export const TOLERATED: ReadonlySet<Cause> = new Set<Cause>();

/** Opens a stage; resolves when all relays serve. */
export async function openStage({ seed, relays, leaseMs, lagMs }: StageOptions): Promise<Stage> {
  await using opened = new AsyncDisposableStack();
  const lab = opened.use(await openLab());
  const sink = opened.use(await startSink(seed, lagMs));
  const calm = new AbortController();
  const hurrying = hurry(lab, calm.signal);
  opened.defer(() => (calm.abort(), hurrying));
  const troubles: Trouble[] = [];
  const misbehaviours: Misbehaviour[] = [];
  const ledger = new Ledger();
  const seats = new Map(relays.map((name) => [
    name,
    new Seat({
      ...{ name, leaseMs, databaseUrl: lab.relays.url, smtpPort: sink.ports[name], directory: lab.directory },
      note: (trouble) => troubles.push(trouble),
      misbehaved: (what) => misbehaviours.push(what),
    }),
  ]));
  const closeSeats = async () => void await Promise.all([...seats.values()].map((seat) => seat.close()));
  opened.defer(closeSeats);
  await Promise.all([...seats.values()].map((seat) => seat.serving()));
  const close = opened.move();

  return {
    ...{ lab, sink, seats, ledger, troubles },
    async end({ schedule = [], startedMs, settleWithinMs, tolerated }) {
      const wasEmptied = await becomes(async () => await openMails(lab) === 0, settleWithinMs);
      await closeSeats();
      const rows = await readRows(lab.admin());
      const { copies } = sink;
      const history = { ledger: ledger.entries, copies, rows, troubles, misbehaviours, leaseMs, wasEmptied, tolerated };
      const lastWords = [...seats].map(([name, seat]) => `relay ${name}:\n${seat.lastWords(LAST_WORDS)}`);
      return { seed, schedule, startedMs, history, verdict: judge(history), lastWords };
    },
    [Symbol.asyncDispose]: () => close.disposeAsync(),
  };
}

/** What is not final and waits for no person. */
async function openMails(lab: Lab): Promise<number> {
  const [row] = await lab.admin()`select count(*)::int as open from mailchute.queue where due < 'infinity'`;
  return row?.open as number;
}

/** Makes what waits for its next attempt due at once, as minutes would. */
async function hurry(lab: Lab, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await lab.admin()`
      update mailchute.queue set due = now() where seq in (
        select seq from mailchute.queue where leased_by is null and attempts > 0 and due > now() and due < 'infinity' for update skip locked)`
      .catch(() => undefined);
    await pause(400);
  }
}
