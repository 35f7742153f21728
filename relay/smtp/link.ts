import type { Delivery, RouteTrouble } from "../transport.ts";
import type { Connection, Connector, Target } from "./connection.ts";
import type { Wire } from "./dialogue.ts";
import { Session, type SessionSettings } from "./session.ts";
import { Deadline, type Timers } from "./timers.ts";
import type { Mail } from "./command.ts";

/** What the transport gets from outside: sockets and time. */
export interface Rim {
  readonly connector: Connector;
  readonly timers: Timers;
}

/** What a link reports to the pool. */
export interface LinkEvents {
  ready(link: Link): void;
  /** Followed by `closed` at once when the connection ended with it. */
  delivered(link: Link, delivery: Delivery): void;
  closed(link: Link, trouble: RouteTrouble): void;
}

/** One connection with the session that speaks on it: carries events one way and effects the other. */
export class Link implements Wire {
  readonly #session: Session;
  readonly #deadline: Deadline;
  readonly #connection: Connection;
  #delayMs = 0;
  #isOpen = false;
  #isBusy = false;
  #isClosed = false;

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
      delivered: (delivery) => {
        this.#isBusy = false;
        events.delivered(this, delivery);
      },
      closed: (trouble) => events.closed(this, trouble),
    });
    this.#deadline = new Deadline(rim.timers, () => this.#session.deadlinePassed());
    this.#connection = rim.connector(target, {
      connected: () => this.#session.connected(),
      secured: () => this.#session.secured(),
      data: (bytes) => this.#session.receive(bytes),
      progressed: () => this.#deadline.set(this.#delayMs),
      handed: () => this.#session.handed(),
      ended: (cause) => this.#session.ended(cause),
    });
    this.#session.start();
  }

  /** Whether it was ever ready for a mail. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  deliver(mail: Mail): void {
    this.mailCount++;
    this.#isBusy = true;
    this.#session.deliver(mail);
  }

  quit(): void {
    this.#session.quit();
  }

  write(bytes: Uint8Array): void {
    this.#connection.write(bytes);
  }

  stream(bytes: Uint8Array): void {
    this.#connection.stream(bytes);
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
