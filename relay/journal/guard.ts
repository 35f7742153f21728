import type { Log } from "../log.ts";
import type { Journal } from "./journal.ts";

/** Keeps mail from being begun while the journal cannot be written: after a crash nobody would know what was sent. */
export class JournalGuard {
  readonly #journal: Pick<Journal, "trouble">;
  readonly #log: Log;
  #trouble: string | undefined;

  constructor({ journal, log }: { readonly journal: Pick<Journal, "trouble">; readonly log: Log }) {
    this.#journal = journal;
    this.#log = log;
  }

  /** Why the journal could not be written at the last look; undefined when it could. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Looks whether it can be written, and says what is new. @returns whether it can */
  look(): boolean {
    const before = this.#trouble;
    this.#trouble = this.#journal.trouble();
    if (before === undefined && this.#trouble !== undefined) {
      const fix = "make room on the disk of RELAY_STATE_DIR, or make it writable";
      this.#log.error("the journal cannot be written: no mail is begun", { reason: this.#trouble, fix });
    } else if (before !== undefined && this.#trouble === undefined) {
      this.#log.info("the journal can be written again");
    }
    return this.#trouble === undefined;
  }
}
