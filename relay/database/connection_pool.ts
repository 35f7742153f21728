import type { Sql, TransactionSql } from "postgres";
import { errorCode } from "../error_code.ts";
import type { Clock } from "../time/clock.ts";
import type { Rows, Statements } from "./statements.ts";

// DESIGN: the driver waits for an answer for ever. A connection that a firewall has forgotten stays open and answers
// nothing, and whoever waits for it hangs, though a new one would do. So every statement has a limit. At its end the
// statement is canceled, over a connection of its own: if the server still works on it (behind a lock), it says so
// within a moment, and nothing of it goes on. Else this connection is dead, the others are likely to be, and all are
// replaced. What the statement did is unknown then; whoever asked for it tries again.
//
//   asked ──answer──▶ done        asked ──limit──▶ canceled ──error──▶ failed
//                                                     └──silence──▶ failed, all connections replaced
//
// They are replaced as well when they do not get to the server: a connection that closes just when the driver (3.4.9)
// is about to write to it keeps the bytes, and the note that they will go out with this turn of the event loop, and
// never writes again, not even to say hello to the next server.

export interface ConnectionPoolOptions {
  /** Connects anew. */
  readonly open: (options: { readonly prepare: boolean; readonly onClose: () => void }) => Sql;
  /** False behind a transaction pooler, which knows no prepared statements. */
  readonly prepare: boolean;
  /** The longest wait for an answer. */
  readonly statementMs: number;
  readonly clock: Clock;
}

/** How long the server may take to say that a statement was canceled. */
const CANCEL_MS = 2_000;

/**
 * For how long all connections may be under way to a server that says nothing: longer than the driver tries with each.
 */
const SILENCE_MS = 12_000;

/**
 * Not in the driver's types. One statement at a time on a connection: with a second one sent behind it and then
 * canceled, the driver (3.4.9, ReadyForQuery) forgets that one's answer is still to come, and hands it to whoever is
 * next. Said of each statement: the setting for all (max_pipeline: 0) keeps `begin` from getting its connection.
 */
const ALONE = { onexecute: () => false };

/** A walk of the retention deletes thousands of mails at once; nobody waits for it. */
const TRANSACTION_MS = 10 * 60_000;

/** How long statements on connections that were replaced may still be answered. */
const LEAVE_S = 5;

/** A prepared statement that is not there, or is there twice: a transaction pooler lends our connections away. */
const NOT_PREPARED: ReadonlySet<string> = new Set(["26000", "42P05"]);

/**
 * The server has undone a statement that stood in another's way, such as a migration's: a deadlock, or two that cannot
 * be put in an order.
 */
const UNDONE: ReadonlySet<string> = new Set(["40P01", "40001"]);

/** How often such a statement is asked. */
const ASKED_AT_MOST = 4;

/**
 * What poolers say of a connection that begins with a parameter of the server (PgBouncer: "unsupported startup
 * parameter").
 */
const NOT_CONNECTED = "08P01";

/** What the driver says when a connection did not come about in time. */
const NOT_REACHED = "CONNECT_TIMEOUT";

/** A statement that was not answered in time. It may have been executed. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  readonly code = "no_answer";
}

/** The connections to one database, which are replaced when they fall silent. */
export class ConnectionPool implements Statements {
  readonly #options: ConnectionPoolOptions;
  #sql: Sql;
  #prepare: boolean;
  #ended = false;
  #generation = 0;
  /** When the server last said anything, or these connections were begun. */
  #heardAtMs: number;

  constructor(options: ConnectionPoolOptions) {
    this.#options = options;
    this.#prepare = options.prepare;
    this.#heardAtMs = options.clock.now();
    this.#sql = this.#open();
  }

  /** Another number after any connection has ended: what is asked from then on may be another server. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * Runs one statement; again when the server has undone it in favor of another.
   *
   * @throws {NoAnswer} when the database was silent for too long
   */
  async unsafe(...asked: Parameters<Statements["unsafe"]>): Promise<Rows> {
    for (let round = 1;; round++) {
      try {
        return await this.#ask(...asked);
      } catch (error) {
        if (!UNDONE.has(errorCode(error)) || round >= ASKED_AT_MOST) throw error;
      }
    }
  }

  async #ask(...[text, values = [], options = {}]: Parameters<Statements["unsafe"]>): Promise<Rows> {
    const sql = this.#sql;
    try {
      return await this.#limited(sql, sql.unsafe(text, values, { ...options, ...ALONE }), this.#options.statementMs);
    } catch (error) {
      const isRefused = isOfPooler(error);
      if (!isRefused && !NOT_PREPARED.has(errorCode(error))) throw error;
      if (this.#prepare) {
        this.#prepare = false;
        this.#replace(sql);
      }
      // Nothing was asked yet.
      if (isRefused && this.#sql !== sql) return await this.#ask(text, values, options);
      throw error;
    }
  }

  /** Runs a transaction. @throws {NoAnswer} when the database was silent for very long */
  async begin<T extends object>(options: string, work: (tx: TransactionSql) => Promise<T>): Promise<T> {
    const sql = this.#sql;
    // The driver's type unwraps arrays of promises, and this is none.
    return await this.#limited(sql, sql.begin(options, work) as Promise<T>, TRANSACTION_MS);
  }

  /** Ends all connections, those with a statement under way after `timeout` seconds. */
  async end({ timeout }: { readonly timeout: number }): Promise<void> {
    this.#ended = true;
    await this.#sql.end({ timeout });
  }

  async #limited<T>(sql: Sql, work: Promise<T> & Cancelable, limitMs: number): Promise<T> {
    if (await this.#isSettled(work, limitMs)) return await this.#heard(sql, work);
    void cancel(work);
    if (await this.#isSettled(work, CANCEL_MS)) await this.#heard(sql, work).catch(() => undefined);
    else this.#replace(sql);
    throw new NoAnswer(`The database did not answer within ${limitMs} ms`);
  }

  /**
   * What became of a statement that has come to an end, and what that says of the connections: many ends are the
   * driver's own.
   */
  async #heard<T>(sql: Sql, work: Promise<T>): Promise<T> {
    const nowMs = this.#options.clock.now();
    try {
      const answer = await work;
      this.#heardAtMs = nowMs;
      return answer;
    } catch (error) {
      if (error instanceof Error && error.name === "PostgresError") this.#heardAtMs = nowMs;
      else if (errorCode(error) === NOT_REACHED || nowMs - this.#heardAtMs >= SILENCE_MS) this.#replace(sql);
      throw error;
    }
  }

  /** Tells whether this has come to an end, good or bad, before the delay is over. */
  #isSettled(work: Promise<unknown>, delayMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(delayMs, () => resolve(false));
      const done = () => (cancel(), resolve(true));
      work.then(done, done);
    });
  }

  #open(): Sql {
    return this.#options.open({ prepare: this.#prepare, onClose: () => void this.#generation++ });
  }

  #replace(silent: Sql): void {
    // Others on the same connections have found out too.
    if (this.#sql !== silent || this.#ended) return;
    this.#sql = this.#open();
    this.#heardAtMs = this.#options.clock.now();
    this.#generation++;
    void silent.end({ timeout: LEAVE_S }).catch(() => undefined);
  }
}

/**
 * What the driver's `cancel()` calls. That (3.4.9, Query.cancel in query.js) lets go of the promise, whose rejection
 * nobody could handle then: it would end the process.
 */
interface Cancelable {
  canceller?: ((work: unknown) => unknown) | null;
}

/**
 * Cancels a statement over a connection of its own. Where none can be made, the server is away, and its silence is all
 * there is.
 */
async function cancel(work: Cancelable): Promise<void> {
  const { canceller } = work;
  work.canceller = null;
  try {
    await canceller?.(work);
  } catch {
    // Said by whoever waits for the statement.
  }
}

/** Tells whether a pooler has refused a connection for a parameter of the server. */
export function isOfPooler(error: unknown): boolean {
  return errorCode(error) === NOT_CONNECTED && error instanceof Error && /startup parameter/i.test(error.message);
}
