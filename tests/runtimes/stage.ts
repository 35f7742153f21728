import { afterAll, beforeAll } from "bun:test";
import { grantShop } from "../client/shop.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { type NeonStandin, startNeonStandin } from "../neon_standin.ts";
import { thoroughly } from "../thoroughly.ts";
import { makeDeadEnd } from "./dead_end.ts";
import { type Door, openDoor } from "./door.ts";
import type { Runtime, Task } from "./task.ts";
import { BROKEN_TLS, TROUBLES } from "./troubles.ts";

/** For one case, on a machine under load: 10 MB over a WebSocket that is written in JavaScript take seconds then. */
export const TIMEOUT_MS = 30_000;

/**
 * What a case may have left. One statement, since a database of its own for each of hundreds of cases takes too long.
 */
const EMPTY = `
  truncate public.orders, mailchute.message, mailchute.content, mailchute.attachment, mailchute.recipient, mailchute.attempt,
    mailchute.queue, mailchute.suppression`;

/** A runtime with a database and a stand-in for Neon, for the tests of one file: one after the other. */
export class Stage<T extends Runtime> {
  #db: TestDatabase | undefined;
  #neon: NeonStandin | undefined;
  #runtime: T | undefined;
  #url = "";

  /** @param start is given the database's URL as the app's role */
  constructor(start: (url: string) => Promise<T>) {
    beforeAll(async () => {
      this.#db = await createDatabase();
      this.#url = await grantShop(this.#db);
      // Neon's driver counts the 4,096 rounds of SCRAM in JavaScript, for each connection.
      await this.#setRounds(1);
      this.#neon = await startNeonStandin(this.#db.url);
      this.#runtime = await start(this.#url);
    }, TIMEOUT_MS);
    afterAll(async () => {
      await this.#runtime?.[Symbol.asyncDispose]();
      await this.#neon?.[Symbol.asyncDispose]();
      // Roles are the whole server's, and Bun.SQL takes no fewer than these.
      await this.#setRounds(4_096);
      await this.#db?.[Symbol.asyncDispose]();
    }, TIMEOUT_MS);
  }

  /** Runs a case or a trouble, and throws what the runtime says of its failure. */
  async run(connection: string, sentence: string): Promise<void> {
    await this.#withTask(connection, sentence, async (runtime, task) => {
      const { failure } = await runtime.run(task);
      if (failure !== undefined) throw new Error(failure);
    });
  }

  /** Lets the runtime answer, and only then run the case, and throws what it says of its failure. */
  async runAfterAnswer(connection: string, sentence: string): Promise<void> {
    await this.#withTask(connection, sentence, async ({ runLater }, task, door) => {
      if (runLater === undefined) throw new Error("This runtime has no waitUntil");
      await runLater(task);
      door.answered();
      const { failure } = await door.report;
      if (failure !== undefined) throw new Error(failure);
    });
  }

  async #setRounds(rounds: number): Promise<void> {
    await this.#db?.sql.unsafe(
      `set scram_iterations = ${rounds}; alter role shop_app password 'secret'; reset scram_iterations`,
    );
  }

  async #withTask(
    connection: string,
    sentence: string,
    work: (runtime: T, task: Task, door: Door) => Promise<void>,
  ): Promise<void> {
    const [db, neon, runtime] = [this.#db, this.#neon, this.#runtime];
    if (db === undefined || neon === undefined || runtime === undefined) throw new Error("The stage is not open");
    await using door = openDoor(db.sql);
    if (TROUBLES[sentence] === undefined) {
      await db.sql.unsafe(EMPTY);
      return await work(
        runtime,
        { connection, sentence, url: this.#url, neonHost: neon.host, doorUrl: door.url, thoroughly },
        door,
      );
    }
    await using end = await makeDeadEnd(sentence);
    const url = `postgres://shop_app:secret@${end.host}/shop${sentence === BROKEN_TLS ? "?sslmode=require" : ""}`;
    await work(runtime, { connection, sentence, url, neonHost: end.host, doorUrl: door.url, thoroughly }, door);
  }
}
