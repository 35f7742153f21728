/**
 * What a producer knows about the end of its transaction. `unknown`: the connection was lost in COMMIT, or the app
 * died.
 */
export type Fate = "committed" | "rolled_back" | "unknown";

/** A mail as its producer knows it. */
export interface Entry {
  /** Names the mail everywhere: it is the local part of its From address. */
  readonly token: string;
  readonly recipients: readonly string[];
  readonly scheduledMs?: number | undefined;
  /** Asks for a person when nobody knows whether it was taken. */
  readonly holds: boolean;
  /** It was enqueued together with a row of the app's own. */
  readonly hasOrder: boolean;
  readonly fate: Fate;
  /** Once it is known. */
  readonly id?: string;
  /** The app took it back; `unknown`: the answer was lost. */
  readonly canceled?: "yes" | "no" | "unknown";
}

/** News about a mail; all but the first leave out what they do not change. */
export type Note = Pick<Entry, "token"> & Partial<Entry>;

/** What the producers know, mail by mail: the sum of all notes. */
export class Ledger {
  readonly #entries = new Map<string, Entry>();

  get entries(): readonly Entry[] {
    return [...this.#entries.values()];
  }

  get(token: string): Entry | undefined {
    return this.#entries.get(token);
  }

  take(note: Note): void {
    this.#entries.set(note.token, { ...this.#entries.get(note.token), ...note } as Entry);
  }
}
