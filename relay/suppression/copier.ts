import { isOfConnection, type Statements } from "../database/statements.ts";
import { Bell } from "../drain/bell.ts";
import type { Log } from "../log.ts";
import type { Clock } from "../time/clock.ts";
import { listCopied, type Origin, readCopy, type StoredCopy, writeCopy } from "./copy.ts";
import type { SuppressionHome } from "./home.ts";
import { afterPage, isOnRecord, type Pass, passOf } from "./pass.ts";

// DESIGN: one for each database of a relay but its home. It keeps there a copy of home's suppressions of scope `all`:
// at once when home rings, and otherwise by RELAY_POLL, with one small question to home while nothing has changed.
// Nobody waits for it. While one of the two does not answer, what was copied last holds. Relays with the same home
// share a copy: each page names the state that it goes on from, and of two the slower writes nothing, reads the state
// again and goes on from there.

/** What a copier needs. */
export interface SuppressionCopierOptions {
  readonly home: SuppressionHome;
  /** The database that gets the copy. */
  readonly sql: Statements;
  /** Why one of the two is to be left alone for now, by itself: it rests, or nothing may be sent from it. */
  readonly isLeftAlone: (database: { readonly rang: boolean }) => boolean;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly log: Pick<Log, "info" | "warn" | "debug">;
}

/** Rows of one statement: some 20 ms of a database's time. */
const PAGE = 2_000;

/** How often it is written that nothing has changed: a snapshot that is very old makes the next look read more. */
const SAVE_MS = 60 * 60_000;

/** Keeps a copy of home's suppressions in one other database. */
export class SuppressionCopier {
  readonly #options: SuppressionCopierOptions;
  readonly #bell: Bell;
  #copy: StoredCopy | undefined;
  #savedMs: number;
  #stopped = false;
  #isRefused = false;

  constructor(options: SuppressionCopierOptions) {
    this.#options = options;
    this.#bell = new Bell(options.clock);
    this.#savedMs = options.clock.now();
  }

  /** The list of the home database has changed. */
  ring(): void {
    this.#bell.ring();
  }

  /** Copies until `stop`. */
  async run(): Promise<void> {
    for (let rang = true; !this.#stopped;) {
      const isBehind = await this.look({ rang });
      rang = !this.#stopped && await this.#bell.wait(isBehind ? 0 : this.#options.pollMs);
    }
  }

  /** Ends with the page that is under way. */
  stop(): void {
    this.#stopped = true;
    this.#bell.ring();
  }

  /** Copies what is new. Never fails. @returns true: not done, and the next look will begin with another state */
  async look(options: { readonly rang: boolean }): Promise<boolean> {
    if (this.#options.isLeftAlone(options)) return false;
    try {
      const isBehind = await this.#follow();
      if (this.#isRefused) this.#options.log.info("suppressions of the home database are copied again");
      this.#isRefused = false;
      return isBehind;
    } catch (error) {
      // What was written is not known.
      this.#copy = undefined;
      if (!this.#stopped) this.#note(error);
      return false;
    }
  }

  async #follow(): Promise<boolean> {
    const { home, sql, clock, log } = this.#options;
    const origin: Origin = { id: await home.id(), display: home.display };
    const isFresh = this.#copy === undefined;
    let copy = this.#copy ?? await readCopy(sql, origin);
    // After the state: it is never newer than this.
    const head = await home.look(copy.seen);
    const pass = passOf(copy, head);
    if (pass === undefined) return await this.#rest(origin, { ...copy, seen: head.snapshot });
    const beganMs = clock.now();
    let addresses = 0;
    for (let rest: Pass | null = pass; rest !== null;) {
      if (this.#stopped) return false;
      const page = rest.stage === "sweep" ? await this.#sweep(origin, rest) : await home.read(rest, PAGE);
      if (rest.stage === "rows") addresses += page.count;
      if (rest.from !== null && !isOnRecord(rest.from, page)) {
        this.#copy = undefined;
        return true;
      }
      const { version } = copy;
      const written = await writeCopy(sql, origin, {
        ...{ version, rows: page.rows, state: afterPage(copy, rest, page.last) },
      });
      this.#copy = written;
      // Another relay has written since that was read: if that was just now, it is at it.
      if (written === undefined) return !isFresh;
      copy = written;
      rest = copy.pass;
    }
    this.#savedMs = clock.now();
    const took = { addresses, ms: Math.round(clock.now() - beganMs) };
    if (pass.from === null) log.info("all suppressions of the home database were copied", took);
    else log.debug("suppressions of the home database were copied", took);
    return false;
  }

  /** Takes in that nothing has changed. */
  async #rest(origin: Origin, copy: StoredCopy): Promise<false> {
    const { sql, clock } = this.#options;
    const isOld = clock.now() - this.#savedMs >= SAVE_MS;
    this.#copy = isOld ? await writeCopy(sql, origin, { version: copy.version, rows: "[]", state: copy }) : copy;
    if (isOld) this.#savedMs = clock.now();
    return false;
  }

  /** Finds what stands here as a copy and is not on home's list. */
  async #sweep(
    origin: Origin,
    { after }: Pass,
  ): Promise<Awaited<ReturnType<SuppressionHome["read"]>>> {
    const { home, sql } = this.#options;
    const { addresses, last } = await listCopied(sql, origin, { after: after.address, limit: PAGE });
    const rows = addresses === "[]" ? "[]" : await home.missing(addresses);
    return { rows, count: 0, last: last === undefined ? undefined : { at: "0", address: last }, forgotten: "0" };
  }

  #note(error: unknown): void {
    const { log } = this.#options;
    // That one of the two is away, its own drain says.
    if (isOfConnection(error)) return log.debug("suppressions cannot be copied: those copied last hold", { error });
    if (this.#isRefused) return;
    this.#isRefused = true;
    log.warn("suppressions of the home database are not copied: what is new there does not hold here", { error });
  }
}
