import type { RouteTrouble } from "../delivery/transport.ts";
import type { Mail } from "./command.ts";
import type { Connection, Connector, Target, TlsFacts } from "./connection.ts";
import type { Wire } from "./dialogue.ts";
import { Session, type SessionSettings } from "./session.ts";
import { Deadline, type Timers } from "./timers.ts";
import type { TransactionResult } from "./transaction_frame.ts";

/** What the transport gets from outside: sockets and time. */
export interface Rim {
  readonly connector: Connector;
  readonly timers: Timers;
}

/** What a link reports to the pool. */
export interface LinkEvents {
  ready(link: Link): void;
  /** The end of a mail is written, and the server has been quick: the next one may follow right behind it. */
  roomy(link: Link): void;
  /** Followed by `closed` at once when the connection ended with it. */
  delivered(link: Link, mail: Mail, result: TransactionResult): void;
  closed(link: Link, trouble: RouteTrouble): void;
}

/**
 * A server that takes longer than this for its final reply gets no mail behind another: the round trip saved would be
 * nothing, and the mail could not go over another connection that becomes free.
 */
const QUICK_MS = 1_000;

/** One connection with the session that speaks on it: carries events one way and effects the other. */
export class Link implements Wire {
  readonly #session: Session;
  readonly #deadline: Deadline;
  readonly #connection: Connection;
  #delayMs = 0;
  #isOpen = false;
  #busyCount = 0;
  #isClosed = false;
  #committedMs = 0;
  #finalMs = Infinity;

  /** Mails that were begun on this connection. */
  mailCount = 0;
  readonly openedMs: number;

  constructor(target: Target, settings: SessionSettings, options: { readonly rim: Rim; readonly events: LinkEvents }) {
    const { rim, events } = options;
    this.openedMs = rim.timers.nowMs();
    this.#session = new Session(this, settings, {
      ready: () => {
        this.#isOpen = true;
        events.ready(this);
      },
      roomy: () => {
        this.#committedMs = rim.timers.nowMs();
        if (this.#finalMs <= QUICK_MS) events.roomy(this);
      },
      delivered: (mail, result) => {
        this.#busyCount--;
        this.#finalMs = rim.timers.nowMs() - this.#committedMs;
        events.delivered(this, mail, result);
      },
      closed: (trouble) => events.closed(this, trouble),
    });
    this.#deadline = new Deadline(rim.timers, () => {
      if (this.#connection.isStarved) this.#session.contentFailed("The content did not come in time");
      else this.#session.deadlinePassed();
    });
    this.#connection = rim.connector(target, {
      connected: () => this.#session.connected(),
      secured: () => this.#session.secured(),
      data: (bytes) => this.#session.receive(bytes),
      progressed: () => this.#deadline.set(this.#delayMs),
      handed: () => this.#session.handed(),
      contentFailed: (reason) => this.#session.contentFailed(reason),
      ended: (cause) => this.#session.ended(cause),
    });
    this.#session.start();
  }

  /** Whether it was ever ready for a mail. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isBusy(): boolean {
    return this.#busyCount > 0;
  }

  /** Whether a mail may be given now, behind another or not. */
  get canDeliver(): boolean {
    return this.#session.canDeliver && (this.#busyCount === 0 || this.#finalMs <= QUICK_MS);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** How the connection is protected. */
  get tlsFacts(): TlsFacts | undefined {
    return this.#connection.tlsFacts();
  }

  deliver(mail: Mail): void {
    this.mailCount++;
    this.#busyCount++;
    this.#session.deliver(mail);
  }

  quit(): void {
    this.#session.quit();
  }

  write(bytes: Uint8Array): void {
    this.#connection.write(bytes);
  }

  stream(chunks: AsyncIterable<Uint8Array>): void {
    this.#connection.stream(chunks);
  }

  flush(): void {
    this.#connection.flush();
  }

  startTls(): void {
    this.#connection.startTls();
  }

  setDeadline(delayMs: number): void {
    this.#delayMs = delayMs;
    this.#deadline.set(delayMs);
  }

  close(): void {
    this.#isClosed = true;
    this.#deadline.stop();
    this.#connection.close();
  }
}
