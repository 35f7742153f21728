import type { ConnectionPool } from "../database/connection_pool.ts";
import type { Log } from "../log.ts";
import type { Clock } from "../time/clock.ts";
import { lookAtPlace, rememberPlace } from "./place_record.ts";

// DESIGN: before a claim, the place of the database must be proven. The proof holds for the connections that it was
// made with, since a server does not change under an open connection, and for a minute, since behind a pooler it may. A
// copy is looked at again and again, and served as soon as somebody has adopted it. Who asks meanwhile waits: what is
// to be done for an adopted copy is done once.

export interface PlaceGuardOptions {
  readonly sql: ConnectionPool;
  readonly address: string;
  /** As `--database` names it. */
  readonly name: string;
  /** Called once for each time that it turns out to be no copy after it was one. */
  readonly onAdopted: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Pick<Log, "info" | "error">;
}

const PROVEN_MS = 60_000;

/** Keeps a relay from draining a copy of a database. */
export class PlaceGuard {
  readonly #options: PlaceGuardOptions;
  #proof: { readonly generation: number; readonly untilMs: number } | undefined;
  #copy: string | undefined;
  /** Ends when nobody looks any more. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: PlaceGuardOptions) {
    this.#options = options;
  }

  /** One sentence when the database is a copy; undefined when it is none, or has not been looked at. */
  get copy(): string | undefined {
    return this.#copy;
  }

  /** Tells whether the queue may be drained here. */
  mayDrain(): Promise<boolean> {
    const turn = this.#turn.then(() => this.#prove());
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #prove(): Promise<boolean> {
    const { sql, address, name, clock, log, onAdopted } = this.#options;
    const { generation } = sql;
    if (this.#proof?.generation === generation && this.#proof.untilMs > clock.now()) return true;
    this.#proof = undefined;
    const look = await lookAtPlace(sql, address);
    const { difference, remembered } = look;
    if (difference !== undefined) {
      if (this.#copy === undefined) {
        log.error("this database is a copy: nothing is sent from it", {
          reason: `its queue is drained at ${remembered?.addresses[0]}, and ${difference}`,
          fix:
            `mailchute adopt-copy --keep --database ${name}, if it has moved here for good; --discard cancels what it copied`,
        });
      }
      this.#copy = `a copy of ${remembered?.addresses[0]} (${difference}): mailchute adopt-copy decides`;
      return false;
    }
    await rememberPlace(sql, look);
    if (this.#copy !== undefined) {
      await onAdopted();
      log.info("this database is no copy any more: its mail is sent from here", { address });
    }
    this.#copy = undefined;
    this.#proof = { generation, untilMs: clock.now() + PROVEN_MS };
    return true;
  }
}
