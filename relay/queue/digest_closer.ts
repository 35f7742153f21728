import type { Statements } from "../database/statements.ts";
import type { Clock } from "../time/clock.ts";

// DESIGN: the windows of digests are closed before a claim, which finds the mails that they have become. When the next
// one may end is known from the look before each sleep; only while mail flows, and nobody sleeps, is it asked for now
// and then.

/** Index: digest_item_look. Closes windows that have ended, of at most $1 digests (013_digests.sql). */
const CLOSE_DIGESTS = `
select c.looked, extract(epoch from c.next_at - now()) * 1000 as wait_ms from mailchute.close_digests($1::int) c`;

/** As many digests are closed in one statement. */
const MOST = 100;
/** How long what is known of the next window holds. */
const KNOWN_MS = 5_000;
/**
 * How long mail is claimed without closing what could not be closed: a digest of a million notifications may take
 * longer than a statement may.
 */
const AGAIN_MS = 30_000;

/** Closes the windows of digests that have ended, in one database. */
export class DigestCloser {
  readonly #sql: Statements;
  readonly #clock: Pick<Clock, "now">;
  #nextMs = -Infinity;
  #askedMs = -Infinity;
  #notBeforeMs = -Infinity;

  constructor(sql: Statements, clock: Pick<Clock, "now">) {
    this.#sql = sql;
    this.#clock = clock;
  }

  /**
   * Takes in how many milliseconds it is until the next window may have ended, as the database has answered; null: none
   * will.
   */
  note(waitMs: unknown): void {
    this.#askedMs = this.#clock.now();
    this.#nextMs = waitMs === null || waitMs === undefined ? Infinity : this.#askedMs + Number(waitMs);
  }

  /**
   * Closes what has ended, if anything may have; at most so many at a time, since the claim waits for it: a hundred
   * thousand that end at nine o'clock keep no password reset waiting.
   *
   * @returns whether there may be more
   * @throws once, and does nothing for a while then
   */
  async close(): Promise<boolean> {
    const nowMs = this.#clock.now();
    if (nowMs < this.#notBeforeMs || (nowMs < this.#nextMs && nowMs < this.#askedMs + KNOWN_MS)) return false;
    const row = await this.#ask();
    this.note(row?.wait_ms);
    return row?.looked === MOST;
  }

  async #ask(): Promise<Readonly<Record<string, unknown>> | undefined> {
    try {
      return (await this.#sql.unsafe(CLOSE_DIGESTS, [MOST], { prepare: true }))[0];
    } catch (error) {
      this.#notBeforeMs = this.#clock.now() + AGAIN_MS;
      const seconds = AGAIN_MS / 1_000;
      const what =
        `Cannot close the digests that have ended; mail goes out without them, and they are tried again in ${seconds} seconds`;
      if (error instanceof Error) error.message = `${what}: ${error.message}`;
      throw error;
    }
  }
}
