import { uuidv7 } from "../../src/uuid.ts";
import type { Statements } from "../database/statements.ts";
import { errorCode } from "../error_code.ts";
import type { Log } from "../log.ts";
import type { Clock } from "../time/clock.ts";
import { delay } from "../time/delay.ts";
import { formatDuration } from "../time/duration.ts";
import { convertPayload } from "./django_payload.ts";
import { type Changed, EmailRelayTable, type News, type Seen, STATUS, type Waiting } from "./email_relay_table.ts";

// DESIGN: a row's way. Row and message are written in one transaction each time, so that a death at any point loses and
// doubles nothing:
//
//   QUEUED, DEFERRED ──take──▶ here (mailchute.adopted, and a message in the queue) ──a relay sends it──▶ SENT, FAILED ──▶ no longer here
//          ▲                          │ a deferred attempt is written as DEFERRED, with retry_count and log
//          └────────let go────────────┘ what was not begun
//
// Nobody can keep another relay of django-email-relay away from the table: it is watched before the first row is taken,
// and whoever changes a row that is here ends the adoption.

/** What an adoption needs. */
export interface AdoptionOptions {
  readonly sql: Statements;
  /** Runs this in one transaction. */
  readonly begin: (work: (tx: Statements) => Promise<void>) => Promise<unknown>;
  /** The table's name with its schema. */
  readonly source: string;
  readonly defaultFrom: string | undefined;
  /** How long the table is watched before the first row is taken: two sleeps of the old relay. */
  readonly watchMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends every wait. */
  readonly signal: AbortSignal;
}

/** Somebody else works on the table. */
export class TableInUse extends Error {
  override readonly name = "TableInUse";
}

/**
 * So many rows that were not tried yet are here at most: what is not here can still be taken back by nobody but its
 * app. Those that wait for another try do not count: a domain that is out for days must not keep back the mail to all
 * others.
 */
const MOST_UNTRIED = 2_000;
const BATCH = 100;
const LOOK_MS = 1_000;
/**
 * New rows have higher ids. A full look also finds what was committed late, or was set to QUEUED again, and has no
 * index to help it.
 */
const FULL_LOOK_MS = 30_000;
const QUEUE_FULL = "MC005";
/** How long what is on the wire may take to come to its end when we stop. */
const LAST_MS = 10_000;
const GIVEN_BACK = "Given back to email_relay_message";

/** Sends the rows of an `email_relay_message` table through the queue, and keeps their statuses true. */
export class Adoption {
  readonly #options: AdoptionOptions;
  readonly #table: EmailRelayTable;
  /** The highest id that was taken; rows from here on are looked at each time. */
  #seenId = 0n;
  #fullLookMs = -Infinity;
  #taken = 0;

  constructor(options: AdoptionOptions) {
    this.#options = options;
    this.#table = new EmailRelayTable(options.sql, options.source);
  }

  /**
   * Watches the rows that wait, without touching them.
   *
   * @throws {TableInUse} when somebody changes one
   */
  async watch(): Promise<void> {
    const { clock, log, signal, source, watchMs } = this.#options;
    // Of an adoption that has died: what somebody has done with them meanwhile is theirs.
    await this.#disown(await this.#table.changed());
    const before = new Map((await this.#table.open()).map((row) => [row.id, row]));
    log.info("watching", { table: source, for: formatDuration(watchMs), waiting: before.size });
    const endMs = clock.now() + watchMs;
    for (;;) {
      for (const now of await this.#table.look([...before.keys()])) {
        if (!isSame(now, before.get(now.id))) {
          throw new TableInUse(
            `Row ${now.id} of ${this.#options.source} was changed by somebody else: another relay works on it`,
          );
        }
      }
      if (signal.aborted || clock.now() >= endMs) return;
      await this.#wait(Math.min(LOOK_MS, Math.max(1, endMs - clock.now())));
      // What came meanwhile is watched as well, for as long as is left.
      for (const row of await this.#table.open()) if (!before.has(row.id)) before.set(row.id, row);
    }
  }

  /** Takes and writes until it is stopped, or with `once` until all that is left waits for another attempt. */
  async run({ once }: { readonly once: boolean }): Promise<{ readonly here: number; readonly there: number }> {
    const { signal } = this.#options;
    while (!signal.aborted) {
      await this.#check();
      const wrote = await this.#writeNews();
      const took = await this.#take();
      if (wrote + took > 0) continue;
      if (once) {
        const held = await this.#table.held();
        const counts = await this.#table.count();
        if (counts.there === 0 && held.every(({ attempts }) => attempts > 0)) return counts;
      }
      await this.#wait(LOOK_MS);
    }
    return await this.#table.count();
  }

  /**
   * Gives back what was not begun, so that the table says the truth without us. What the server may have stays here: it
   * is FAILED in the table until its end is known, since a relay that came back would send it once more.
   *
   * @returns how many rows stay
   */
  async letGo(): Promise<number> {
    const { clock, log } = this.#options;
    const endMs = clock.now() + LAST_MS;
    for (;;) {
      await this.#writeNews();
      let underWay = 0;
      for (const { id, isUncertain } of await this.#table.held()) {
        if (!isUncertain && !await this.#begin((tx) => this.#over(tx).takeBack(id, GIVEN_BACK))) underWay++;
      }
      if (underWay === 0 || clock.now() >= endMs) break;
      await new Promise<void>((resolve) => clock.after(100, resolve));
    }
    const staying = await this.#table.held();
    for (const { id, retries, attempts, seq } of staying) {
      const reason = `mailchute may have sent it, and writes its end here when it runs again (message ${seq})`;
      await this.#table.write({ id, status: STATUS.failed, retries, attempts, log: reason, isLast: false });
    }
    if (staying.length > 0) {
      log.warn("rows stay FAILED until the next adopt: the server may have their mails", { rows: staying.length });
    }
    return staying.length;
  }

  /** @throws {TableInUse} when somebody has changed a row that is here */
  async #check(): Promise<void> {
    const changed = await this.#table.changed();
    if (changed.length === 0) return;
    const foreign = changed.filter(({ isGone }) => !isGone);
    await this.#disown(changed);
    const [first] = foreign;
    // An app may delete its own rows.
    if (first === undefined) return;
    throw new TableInUse(
      `Row ${first.id} of ${this.#options.source} was changed by somebody else while it was here: another relay works on it`,
    );
  }

  async #disown(rows: readonly Changed[]): Promise<void> {
    for (const { id } of rows) {
      await this.#begin((tx) => this.#over(tx).disown(id, "The row was changed or deleted by somebody else"));
    }
  }

  async #writeNews(): Promise<number> {
    const news = await this.#table.news();
    let wrote = 0;
    // One that was changed meanwhile is found by the next check.
    for (const each of news) if (await this.#table.write(toRow(each))) wrote++;
    return wrote;
  }

  async #take(): Promise<number> {
    const { clock } = this.#options;
    const room = Math.min(BATCH, MOST_UNTRIED - await this.#table.countUntried());
    if (room < 1) return 0;
    const isFull = clock.now() - this.#fullLookMs >= FULL_LOOK_MS;
    const from = isFull ? "0" : String(this.#seenId);
    const took = await this.#takeFrom(from, room);
    // A full look that has found all it may is not at its end.
    if (isFull && took < room) this.#fullLookMs = clock.now();
    return took;
  }

  async #takeFrom(from: string, most: number): Promise<number> {
    const { log } = this.#options;
    let current: Waiting | undefined;
    try {
      return await this.#begin(async (tx) => {
        const table = this.#over(tx);
        const rows = await table.takeable(from, most);
        for (const row of rows) {
          current = row;
          await this.#takeRow(row, table, tx);
        }
        current = undefined;
        for (const { id } of rows) if (BigInt(id) > this.#seenId) this.#seenId = BigInt(id);
        this.#taken += rows.length;
        return rows.length;
      });
    } catch (error) {
      const code = errorCode(error);
      if (code === QUEUE_FULL) return 0;
      if (current === undefined || !/^(MC00[123]|22)/.test(code)) throw error;
      // This one row cannot be sent; the others go with the next look.
      const reason = error instanceof Error ? error.message : String(error);
      await this.#table.refuse(current.id, reason);
      log.warn("a row cannot be sent", { row: current.id, reason });
      return 1;
    }
  }

  async #takeRow(row: Waiting, table: EmailRelayTable, tx: Statements): Promise<void> {
    const converted = convertPayload(await table.payload(row.id), this.#options.defaultFrom);
    if (!converted.ok) {
      this.#options.log.warn("a row cannot be sent", { row: row.id, reason: converted.reason });
      return await table.refuse(row.id, converted.reason);
    }
    const id = uuidv7(this.#options.clock.now(), crypto.randomUUID());
    // LOW is what the backend writes for every mail, and so is normal.
    const request = { id, ...converted.request, ...(row.priority > 1 ? { priority: "high" } : {}) };
    await tx.unsafe("select id from mailchute.enqueue_v1($1::text::jsonb)", [JSON.stringify(request)]);
    await table.take(row.id, id);
  }

  async #begin<T>(work: (tx: Statements) => Promise<T>): Promise<T> {
    const results: T[] = [];
    await this.#options.begin(async (tx) => void results.push(await work(tx)));
    return results[0] as T; // there is one, or the transaction has failed
  }

  #over(tx: Statements): EmailRelayTable {
    return new EmailRelayTable(tx, this.#options.source);
  }

  /** How many rows were taken so far. */
  get taken(): number {
    return this.#taken;
  }

  #wait(ms: number): Promise<void> {
    const { clock, signal } = this.#options;
    return delay(clock, ms, signal);
  }
}

/** What a message's state is in the words of django-email-relay. */
function toRow({ id, seq, state, attempts, retries, log }: News) {
  if (seq === undefined) {
    const gone = "mailchute no longer knows what became of it";
    return { id, status: STATUS.failed, attempts, retries, log: gone, isLast: true };
  }
  if (state === undefined) return { id, status: STATUS.deferred, attempts, retries, log, isLast: false };
  // Its log stays as it was: there is nothing to say.
  if (state === "sent") return { id, status: STATUS.sent, attempts, retries, log: "", isLast: true };
  return { id, status: STATUS.failed, attempts, retries, log: `${state}: ${log}`, isLast: true };
}

function isSame(now: Seen, before: Seen | undefined): boolean {
  return before === undefined ||
    (now.status === before.status && now.retries === before.retries && now.updatedAt === before.updatedAt);
}
