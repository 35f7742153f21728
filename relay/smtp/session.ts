import type { RouteTrouble } from "../delivery/transport.ts";
import { type Capabilities, type DeliveryReports, NO_CAPABILITIES } from "./capability.ts";
import type { Mail } from "./command.ts";
import { Dialogue, type DialogueOwner, type ReplyReader, type Wire } from "./dialogue.ts";
import { troubleOf } from "./ending.ts";
import { Opening, type OpeningSettings } from "./opening.ts";
import type { ServerReply } from "./reply.ts";
import type { TransactionResult } from "./transaction_frame.ts";
import { Transaction, type TransactionOwner } from "./transaction.ts";

/**
 * DESIGN: one SMTP session as a state machine without I/O.
 *
 * ```
 * opening ──ready──▶ idle ──deliver──▶ busy ──delivered──▶ idle …
 *    │                │ quit             │
 *    └────────────────┴──▶ closed ◀──────┘
 * ```
 * Busy means one mail, or two: with PIPELINING the envelope of the next may be said right behind the end of a content,
 * so that a mail costs one round trip (RFC 2920 section 3.1). Its content waits for its own 354, which comes after the
 * reply to the one before: at most one mail is uncertain when the connection breaks.
 *
 * Owner: one link (`link.ts`), which feeds it events and acts on its `Wire`. Guarantees: each mail given to `deliver`
 * gets exactly one `delivered`, and that before `closed`; `closed` comes exactly once, and nothing after it.
 * Every event ends in `Dialogue.commit`: what it made us say goes out as one write.
 */

export interface SessionSettings extends OpeningSettings {
  /** Whether large mails may go by BDAT where CHUNKING is offered. */
  readonly chunking: boolean;
  /** Whether delivery reports are asked for where DSN is offered. */
  readonly dsn: DeliveryReports;
  /** Sees the dialogue for debugging: no secrets of AUTH and no content. */
  readonly onDialogue?: ((line: string) => void) | undefined;
}

/** What the session reports to its link. */
export interface SessionEvents {
  /** The session can take a mail, for the first time. */
  ready(): void;
  /** The end of a mail is written: the next one may follow right behind it. */
  roomy(): void;
  /** What became of the mail. The session can take the next one, or `closed` follows at once. */
  delivered(mail: Mail, result: TransactionResult): void;
  /** The connection is over. */
  closed(trouble: RouteTrouble): void;
}

export class Session implements DialogueOwner, TransactionOwner, ReplyReader {
  readonly #wire: Wire;
  readonly #settings: SessionSettings;
  readonly #events: SessionEvents;
  readonly #dialogue: Dialogue;
  readonly #opening: Opening;
  #state: "opening" | "handshake" | "idle" | "busy" | "quitting" | "closed" = "opening";
  #capabilities: Capabilities = NO_CAPABILITIES;
  /** In the order of their mails: the first one is under way, a second one has said its envelope. */
  #transactions: Transaction[] = [];
  #needsReset = false;

  constructor(wire: Wire, settings: SessionSettings, events: SessionEvents) {
    this.#wire = wire;
    this.#settings = settings;
    this.#events = events;
    this.#dialogue = new Dialogue(wire, this, {
      connectMs: settings.deadlines.connectMs,
      log: settings.onDialogue,
    });
    this.#opening = new Opening(this.#dialogue, settings, {
      done: (capabilities) => this.#opened(capabilities),
      fail: (trouble) => this.fail(trouble),
      startTls: () => {
        this.#state = "handshake";
        this.#wire.startTls();
      },
    });
  }

  /** What the server offers. Known once the session is ready. */
  get capabilities(): Capabilities {
    return this.#capabilities;
  }

  /** Begins to wait for the connection. */
  start(): void {
    this.#dialogue.commit();
  }

  /** The connection stands (with TLS when the policy is `implicit`). */
  connected(): void {
    this.#opening.connected();
    this.#dialogue.commit();
  }

  /** The handshake that `Wire.startTls` began is done, and the server is who it should be. */
  secured(): void {
    if (this.#state !== "handshake") return;
    this.#state = "opening";
    this.#opening.secured();
    this.#dialogue.commit();
  }

  /** Bytes from the server. */
  receive(bytes: Uint8Array): void {
    if (this.#state === "handshake") {
      const reason = "Unencrypted bytes came after the reply to STARTTLS: somebody may be tampering";
      return this.fail(troubleOf("tls_injection", "starttls", { reason }));
    }
    this.#dialogue.receive(bytes);
  }

  /** The kernel has taken all of what was given to `Wire.stream`. */
  handed(): void {
    this.#transactions[0]?.handed();
    this.#dialogue.commit();
  }

  /** The content given to `Wire.stream` could not be read to its end: without that, the server takes nothing. */
  contentFailed(reason: string): void {
    this.fail(troubleOf("content_failed", "body", { reason }));
  }

  /** The deadline armed last has passed. */
  deadlinePassed(): void {
    if (this.#state === "idle") return this.quit();
    const { phase } = this.#dialogue;
    const code = phase === "connect" ? "connect_timeout" : "timeout";
    const reason = phase === "connect"
      ? "The connection was not made in time"
      : phase === "body"
      ? "The server did not read the content in time"
      : "The server did not answer in time";
    this.fail(troubleOf(code, phase, { reason }));
  }

  /** The connection is gone, for a reason that the socket knows. */
  ended(cause: { readonly code: string; readonly reason: string; readonly detail?: string }): void {
    this.fail(troubleOf(cause.code, this.#dialogue.phase, cause));
  }

  /** Whether a mail may be given now: the session is idle, or the end of the one mail under way is written. */
  get canDeliver(): boolean {
    if (this.#state === "idle") return true;
    const [first, second] = this.#transactions;
    return this.#capabilities.pipelining && second === undefined && first?.isCommitted === true;
  }

  /** Sends a mail. Only while `canDeliver`. */
  deliver(mail: Mail): void {
    if (!this.canDeliver) throw new Error(`Cannot deliver a mail: the session is ${this.#state}`);
    this.#state = "busy";
    const transaction = new Transaction(mail, this.#dialogue, {
      settings: {
        capabilities: this.#capabilities,
        deadlines: this.#settings.deadlines,
        needsReset: this.#needsReset,
        isBehind: this.#transactions.length > 0,
      },
      owner: this,
    });
    // Behind a mail that is not answered yet: whatever is said of that one, it ends that transaction (RFC 5321 section
    // 4.1.1.4).
    this.#needsReset = false;
    this.#transactions.push(transaction);
    transaction.start();
    this.#dialogue.commit();
  }

  /** Ends an idle session politely, any other at once. */
  quit(): void {
    if (this.#state !== "idle") return this.fail(troubleOf("aborted", this.#dialogue.phase, { reason: "Given up" }));
    this.#state = "quitting";
    const deadlineMs = this.#settings.deadlines.quitMs;
    this.#dialogue.say("QUIT", { verb: "QUIT", phase: "connect", deadlineMs, reader: this });
    this.#dialogue.commit();
  }

  /** The reply to QUIT. Whatever it says, we have nothing more to say. */
  replied(): void {
    this.fail(troubleOf("closed", "connect", { reason: "Ended by QUIT" }));
  }

  committed(): void {
    if (this.canDeliver) this.#events.roomy();
  }

  finished(transaction: Transaction, result: TransactionResult, next: { readonly needsReset: boolean }): void {
    // Most often the first; a second one ends before it when nothing of it can be said to this server.
    this.#transactions = this.#transactions.filter((each) => each !== transaction);
    if (this.#transactions.length === 0) {
      this.#needsReset = next.needsReset;
      this.#rest();
    }
    this.#events.delivered(transaction.mail, result);
  }

  garbled(fault: string): void {
    this.fail(troubleOf("protocol", this.#dialogue.phase, { reason: fault }));
  }

  unsolicited(reply: ServerReply): void {
    const [transaction] = this.#transactions;
    if (transaction?.isInBody === true) return transaction.premature(reply);
    const { phase } = this.#dialogue;
    if (reply.code === 421) return this.fail(troubleOf("shutting_down", phase, { reply }));
    const reason = `The server said ${reply.code} without being asked`;
    this.fail(troubleOf("protocol", phase, { reason }));
  }

  /** Ends the session: the one way to `closed`. */
  fail(trouble: RouteTrouble): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    const transactions = this.#transactions;
    this.#transactions = [];
    this.#dialogue.end();
    this.#wire.close();
    for (const transaction of transactions) this.#events.delivered(transaction.mail, transaction.interrupted(trouble));
    this.#events.closed(trouble);
  }

  #opened(capabilities: Capabilities): void {
    const { chunking, dsn } = this.#settings;
    this.#capabilities = {
      ...capabilities,
      chunking: capabilities.chunking && chunking,
      dsn: capabilities.dsn === "none" ? "none" : dsn,
    };
    this.#rest();
    this.#events.ready();
  }

  #rest(): void {
    this.#state = "idle";
    this.#dialogue.rest("connect", this.#settings.deadlines.idleMs);
  }
}
