import type { EnvelopeRecipient } from "../../src/envelope.ts";
import type { Outcome, Reply } from "../delivery/transport.ts";
import { outcomeOf } from "./ending.ts";

type Meaning = Pick<Outcome, "kind" | "phase" | "blame">;
type Details = { readonly reason?: string; readonly reply?: Reply | undefined };

const NOBODY: ReadonlySet<number> = new Set();

/** What has become of each recipient of one mail so far. Who has no outcome yet was accepted or not yet named. */
export class Tally {
  readonly #recipients: readonly EnvelopeRecipient[];
  readonly #outcomes: (Outcome | undefined)[];
  #named = 0;
  #answered = 0;
  #open: number;

  constructor(recipients: readonly EnvelopeRecipient[]) {
    this.#recipients = recipients;
    this.#outcomes = new Array<Outcome | undefined>(recipients.length).fill(undefined);
    this.#open = recipients.length;
  }

  /** Those of whom the server took no more in this transaction: they go with the next. */
  rest: ReadonlySet<number> = NOBODY;

  /** How many recipients the server has accepted. */
  acceptedCount = 0;

  /** Whether every recipient has its outcome. */
  get isComplete(): boolean {
    return this.#open === 0;
  }

  /** The positions of those who have no outcome yet. */
  openPositions(): readonly number[] {
    return this.#recipients.flatMap(({ position }, index) => this.#outcomes[index] === undefined ? [position] : []);
  }

  /** The next recipient to name to the server; undefined after the last. It stays the next one until `named`. */
  next(): EnvelopeRecipient | undefined {
    while (this.#outcomes[this.#named] !== undefined) this.#named++;
    return this.#recipients[this.#named];
  }

  named(): void {
    this.#named++;
  }

  /** Gives the outcome of the recipient whose reply has come, undefined when it was accepted. Replies come in order. */
  answered(meaning: Meaning | undefined, details: Details): void {
    // Skips who was settled before the dialogue began, and therefore never named.
    while (this.#outcomes[this.#answered] !== undefined) this.#answered++;
    const index = this.#answered++;
    if (meaning === undefined) this.acceptedCount++;
    else this.#settle(index, meaning, details);
  }

  /**
   * The recipient whose reply has come belongs to the next transaction. What it gets here holds if there can be none.
   */
  postponed(meaning: Meaning, details: Details): void {
    this.answered(meaning, details);
    const position = this.#recipients[this.#answered - 1]?.position;
    if (position !== undefined) this.rest = new Set([...this.rest, position]);
  }

  /** Settles those for whom the test holds, before the dialogue begins. */
  refuse(test: (recipient: EnvelopeRecipient) => boolean, meaning: Meaning, details: Details): void {
    for (const [index, recipient] of this.#recipients.entries()) {
      if (test(recipient)) this.#settle(index, meaning, details);
    }
  }

  /** Settles everybody who has no outcome yet. */
  settleRest(meaning: Meaning, details: Details): void {
    for (let index = 0; index < this.#outcomes.length; index++) this.#settle(index, meaning, details);
  }

  /** All outcomes, in the order of the recipients. */
  outcomes(): readonly Outcome[] {
    return this.#outcomes.filter((outcome) => outcome !== undefined);
  }

  #settle(index: number, meaning: Meaning, details: Details): void {
    const recipient = this.#recipients[index];
    if (recipient === undefined || this.#outcomes[index] !== undefined) return;
    this.#outcomes[index] = outcomeOf(recipient.position, meaning, details);
    this.#open--;
  }
}
