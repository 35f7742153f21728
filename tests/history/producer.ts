import postgres, { type Sql, type TransactionSql } from "postgres";
import { createMailer } from "../../src/client.ts";
import type { Mailer } from "../../src/mailer.ts";
import type { MessageInput } from "../../src/message_input.ts";
import { type Prng, prng } from "../mime/prng.ts";
import type { Entry, Note } from "./ledger.ts";
import { pause } from "./pause.ts";

/** What a producer needs. */
export interface ProducerOptions {
  readonly seed: number;
  /** Counted from 0. */
  readonly number: number;
  /** In front of its tokens: no two producers, and no two lives of one, may share it. */
  readonly name: string;
  /** The database, as an app reaches it. */
  readonly url: string;
  /** Writes down what is known, before anything else happens. */
  readonly note: (note: Note) => void;
  /** Cuts the connection of the next COMMIT: before the database sees it, or after it is done. */
  readonly cutCommit: (when: "before" | "after") => void;
  /** The mean time between two transactions. */
  readonly everyMs: number;
  readonly signal: AbortSignal;
}

/** Longest wait for the database in one call: a restart takes less. */
const TIMEOUT_MS = 5_000;
/** Longest wait for a whole transaction; a driver that lost its connection may never come back to us. */
const TRANSACTION_MS = 15_000;
const LARGEST_BULK = 30;

/**
 * An app: enqueues mails in transactions of its own, over one connection, until it is told to stop, and notes what it
 * knows about each.
 */
export async function produce(options: ProducerOptions): Promise<void> {
  const { seed, number, signal, everyMs } = options;
  const chance = prng(seed * 1_000 + number);
  let app = new App(options, chance);
  while (!signal.aborted) {
    const done = await Promise.race([app.next().then(() => true), pause(TRANSACTION_MS).then(() => false)]);
    if (!done) {
      // What it was doing stays unknown.
      void app.end();
      app = new App(options, chance, app.count);
    }
    await pause(chance.int(everyMs * 2));
  }
  await app.end();
}

/** The connection of one app, and what it does over it. */
class App {
  readonly #options: ProducerOptions;
  readonly #chance: Prng;
  readonly #sql: Sql;
  readonly #mail: Mailer;
  /** The ids of scheduled mails, which may be taken back. */
  readonly #scheduled: { readonly token: string; readonly id: string }[] = [];
  count: number;

  constructor(options: ProducerOptions, chance: Prng, count = 0) {
    this.#options = options;
    this.#chance = chance;
    this.count = count;
    // Every second one as behind a transaction pooler: each of its COMMITs crosses the wire in words, and can be cut
    // off.
    const prepare = options.number % 2 === 0;
    this.#sql = postgres(options.url, { max: 1, connect_timeout: 5, prepare, onnotice: () => {} });
    this.#mail = createMailer(this.#sql, { timeoutMs: TIMEOUT_MS });
  }

  /** One transaction, whichever comes. */
  async next(): Promise<void> {
    const kind = this.#chance.int(100);
    if (kind < 40) return await this.#inTransaction(1);
    if (kind < 55) return await this.#inTransaction(2 + this.#chance.int(LARGEST_BULK - 2));
    if (kind < 70) return await this.#withKey();
    if (kind < 80) return await this.#withId();
    if (kind < 92) return await this.#bySql(2 + this.#chance.int(LARGEST_BULK));
    return await this.#cancel();
  }

  async end(): Promise<void> {
    await this.#sql.end({ timeout: 1 });
  }

  /** Orders with their mails, together or not at all. */
  async #inTransaction(count: number): Promise<void> {
    const rollsBack = this.#chance.int(6) === 0;
    if (this.#chance.int(12) === 0) this.#options.cutCommit(this.#chance.pick<"before" | "after">(["before", "after"]));
    const mails = this.#mails(count, { hasOrder: true });
    const sent: { readonly token: string; readonly id: string }[] = [];
    const fate = await this.#transaction(mails, async (tx) => {
      for (const { entry: { token }, message } of mails) {
        await tx`insert into public.orders (token) values (${token})`;
        const { id } = await this.#mail.send(message, { tx });
        this.#options.note({ token, id });
        sent.push({ token, id });
      }
      if (rollsBack) throw new Rollback();
    });
    if (fate === "committed") {
      this.#scheduled.push(...sent.filter((_, place) => mails[place]?.entry.scheduledMs !== undefined));
    }
  }

  /** One after the other in SQL, as a trigger would. */
  async #bySql(count: number): Promise<void> {
    const mails = this.#mails(count, { hasOrder: true });
    const requests = JSON.stringify(mails.map(({ message }) => message));
    await this.#transaction(mails, async (tx) => {
      const tokens = mails.map(({ entry }) => entry.token);
      await tx`insert into public.orders (token) select value from jsonb_array_elements_text(${
        JSON.stringify(tokens)
      }::text::jsonb)`;
      await tx`select mailchute.send(value) from jsonb_array_elements(${requests}::text::jsonb)`;
    });
  }

  /** Runs one transaction and notes what is known of its end. */
  async #transaction(
    mails: readonly { readonly entry: Entry }[],
    work: (tx: TransactionSql) => Promise<void>,
  ): Promise<Entry["fate"]> {
    let isAsked = false;
    const noteAll = (fate: Entry["fate"]) => {
      for (const { entry: { token } } of mails) this.#options.note({ token, fate });
      return fate;
    };
    try {
      await this.#sql.begin(async (tx) => {
        await work(tx);
        isAsked = true;
      });
      return noteAll("committed");
    } catch {
      // Lost before COMMIT was asked for, Postgres has rolled back; after it, nobody knows.
      return noteAll(isAsked ? "unknown" : "rolled_back");
    }
  }

  /** Without a transaction of its own: sent again with its key until the answer is there. */
  async #withKey(): Promise<void> {
    for (const { entry, message } of this.#mails(1, { hasOrder: false })) {
      await this.#insist(entry, async () => {
        const { id } = await this.#mail.send(message, { idempotencyKey: `key/${entry.token}` });
        this.#options.note({ token: entry.token, id });
      });
    }
  }

  /** The statement of one mail, run until it is answered and then once more. */
  async #withId(): Promise<void> {
    for (const { entry, message } of this.#mails(1, { hasOrder: false })) {
      const { text, values, id } = await this.#mail.statement(message);
      this.#options.note({ token: entry.token, id });
      await this.#insist(entry, async () => void await this.#sql.unsafe(text, values));
      await this.#sql.unsafe(text, values).catch(() => undefined);
    }
  }

  async #insist({ token }: Entry, ask: () => Promise<void>): Promise<void> {
    while (!this.#options.signal.aborted) {
      try {
        await ask();
        return this.#options.note({ token, fate: "committed" });
      } catch {
        await pause(50);
      }
    }
  }

  async #cancel(): Promise<void> {
    const mail = this.#scheduled.shift();
    if (mail === undefined) return;
    const { token, id } = mail;
    this.#options.note({ token, canceled: "unknown" });
    try {
      this.#options.note({ token, canceled: await this.#mail.cancel(id) === "canceled" ? "yes" : "no" });
    } catch {
      // The answer was lost.
    }
  }

  /** Mails of all kinds, each noted in the ledger. */
  #mails(
    count: number,
    { hasOrder }: { readonly hasOrder: boolean },
  ): readonly { readonly entry: Entry; readonly message: MessageInput & WireFields }[] {
    const { int, pick } = this.#chance;
    return Array.from({ length: count }, () => {
      const token = `${this.#options.name}n${this.count++}`;
      const recipients = Array.from({ length: pick([1, 1, 1, 2, 5]) }, (_, place) => `${token}r${place}@example.com`);
      const scheduledMs = int(10) === 0 ? Date.now() + int(3_000) : undefined;
      const holds = int(8) === 0;
      const entry: Entry = { token, recipients, scheduledMs, holds, hasOrder, fate: "unknown" };
      this.#options.note(entry);
      const message = {
        from: { email: `${token}@shop.example`, name: "Shop" },
        to: recipients.map((email) => ({ email })),
        subject: `Order ${token}`,
        // Some are too large for one write.
        text: `Hello ${token}\n`.repeat(1 + (int(50) === 0 ? 10_000 : int(40))),
        priority: pick<"high" | "normal" | "low">(["high", "normal", "low"]),
        ...(scheduledMs === undefined ? {} : { scheduledAt: new Date(scheduledMs).toISOString() }),
        // Read from the database while the server takes it.
        ...(count === 1 && int(25) === 0 ? { attachments: [attachment(int(600_000))] } : {}),
        ...(holds ? { onUncertain: "hold" as const } : {}),
      };
      return { entry, message };
    });
  }
}

function attachment(sizeBytes: number) {
  return { filename: "invoice.pdf", contentType: "application/pdf", content: new Uint8Array(sizeBytes).fill(0x61) };
}

/** What the SQL function and the client both take as it is. */
interface WireFields {
  readonly from: { readonly email: string };
  readonly to: readonly { readonly email: string }[];
}

/** The app changed its mind. */
class Rollback extends Error {}
