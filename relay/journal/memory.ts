import type { RoutedOutcome } from "../delivery/transport.ts";
import type { JournalRecord, Mark } from "./record.ts";

/** What the journal knows of one claim. */
export interface Remembered {
  readonly mark: Mark;
  /** By position, for whom the end of the content was about to be written, and what came of it. */
  readonly outcomes: ReadonlyMap<number, RoutedOutcome>;
}

/** What an intent alone means: the process ended before it had noted a reply. */
function unknown(position: number, route: string): RoutedOutcome {
  const reason = "The relay ended before it had noted the server's answer";
  return { position, kind: "uncertain", phase: "final", blame: "network", reason, route };
}

/** What the records of a journal, taken together, say. */
export class JournalMemory {
  readonly #claims = new Map<string, { mark: Mark; readonly outcomes: Map<number, RoutedOutcome> }>();

  /** Takes in the next record. */
  add(record: JournalRecord): void {
    const { mark } = record;
    const key = keyOf(mark);
    const known = this.#claims.get(key);
    if (record.kind === "moved") {
      if (known === undefined) return;
      this.#claims.delete(key);
      known.mark = { ...mark, lease: record.lease };
      this.#claims.set(keyOf(known.mark), known);
      return;
    }
    const claim = known ?? { mark, outcomes: new Map<number, RoutedOutcome>() };
    if (known === undefined) this.#claims.set(key, claim);
    if (record.kind === "outcome") {
      for (const outcome of record.outcomes) claim.outcomes.set(outcome.position, outcome);
      return;
    }
    for (const position of record.positions) claim.outcomes.set(position, unknown(position, record.route));
  }

  /** What is known of a claim; undefined: nothing of it was on the brink. */
  get(mark: Mark): Remembered | undefined {
    return this.#claims.get(keyOf(mark));
  }

  /** All that it knows of one database. */
  of(database: string): readonly Remembered[] {
    return [...this.#claims.values()].filter(({ mark }) => mark.database === database);
  }

  /** The databases that it knows something of. */
  get databases(): ReadonlySet<string> {
    return new Set([...this.#claims.values()].map(({ mark }) => mark.database));
  }

  /** Forgets one database. */
  forget(database: string): void {
    for (const [key, { mark }] of this.#claims) if (mark.database === database) this.#claims.delete(key);
  }
}

/** Names a claim. */
export function keyOf({ database, seq, lease }: Mark): string {
  return `${database}/${seq}/${lease}`;
}
