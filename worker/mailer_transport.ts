import type { Delivery, MailContent, Outcome, RouteTrouble, Transport, Witness } from "../relay/delivery/transport.ts";
import { adviceOnTrouble, type RouteFacts } from "../relay/smtp/advice.ts";
import { outcomeOf, troubleOf } from "../relay/smtp/ending.ts";
import { faultOfEnvelope } from "../relay/smtp/path.ts";
import { faultForServer } from "../relay/smtp/preflight.ts";
import type { Timers } from "../relay/smtp/timers.ts";
import type { Envelope } from "../src/envelope.ts";
import { Guard } from "./guard.ts";
import { GuardedMail } from "./guarded_mail.ts";
import type { GuardSettings } from "./guarded_opening.ts";
import { SocketWire } from "./socket_wire.ts";
import type { SocketReader, SocketWriter, Upstream, WorkerSocket } from "./upstream_shape.ts";
import { checkUpstream, openUpstream, placeholderMail } from "./upstream.ts";

/** Which server, and how it is spoken to. */
export interface MailerOptions extends GuardSettings {
  readonly host: string;
  readonly port: number;
  /** After so many the connection is replaced. */
  readonly mailsPerConnection: number;
}

/** A connection, and the worker-mailer that leads the dialogue on it. */
interface Link {
  readonly upstream: Upstream;
  readonly guard: Guard;
  mails: number;
}

/** Hands mails to the next hop through worker-mailer: one connection, one mail at a time, one recipient each. */
export class MailerTransport implements Transport {
  readonly #options: MailerOptions;
  readonly #timers: Timers;
  #link: Link | undefined;

  /** @throws {Error} when the installed worker-mailer cannot be used */
  constructor(options: MailerOptions, timers: Timers) {
    checkUpstream();
    this.#options = options;
    this.#timers = timers;
  }

  openConnections(): number {
    return this.#link !== undefined && this.#link.guard.trouble === undefined ? 1 : 0;
  }

  async send(envelope: Envelope, content: MailContent, signal: AbortSignal, witness?: Witness): Promise<Delivery> {
    const { recipients: [recipient], recipients } = envelope;
    if (!(content instanceof Uint8Array) || recipient === undefined || recipients.length > 1) {
      throw new TypeError("Cannot send this mail from a Worker: it must be whole, and for one recipient");
    }
    const refused = (meaning: Pick<Outcome, "kind" | "phase" | "blame">, reason: string): Delivery => (
      { kind: "attempted", outcomes: [outcomeOf(recipient.position, meaning, { reason })] }
    );
    const fault = faultOfEnvelope(envelope);
    if (fault !== undefined) return refused({ kind: "bounced", phase: "mail", blame: "message" }, fault);

    const link = await this.#ready();
    const { guard, upstream } = link;
    if (guard.trouble !== undefined) return this.#unavailable(guard.trouble);
    const serverFault = faultForServer({ envelope, content }, guard.capabilities);
    if (serverFault?.test(recipient)) return refused(serverFault.meaning, serverFault.reason);
    if (signal.aborted || witness?.mayBegin?.() === false) {
      return this.#unavailable(troubleOf("aborted", "mail", { reason: "Given up before it was begun" }));
    }
    link.mails++;
    const mail = new GuardedMail({ envelope, content, witness }, guard, {
      capabilities: guard.capabilities,
      deadlines: this.#options.deadlines,
    });
    guard.accept(mail);
    // What worker-mailer makes of it is not asked: the guard has read the replies. That it gave up without a word is a
    // fault of its own.
    upstream.send(placeholderMail()).catch((error) => guard.gaveUp(error, mail));
    const delivery = await mail.result;
    return delivery.kind === "attempted" ? delivery : this.#unavailable(delivery.trouble);
  }

  async close(): Promise<void> {
    const link = this.#link;
    this.#link = undefined;
    if (link === undefined) return;
    // Says QUIT and waits for the reply, for as long as the guard lets it.
    if (link.guard.trouble === undefined) await link.upstream.close();
    this.#end(link);
  }

  abort(): void {
    if (this.#link !== undefined) this.#end(this.#link);
  }

  #end({ guard }: Link): void {
    guard.fail(troubleOf("closed", "connect", { reason: "Given up" }));
  }

  /** The connection that stands, or a new one. */
  async #ready(): Promise<Link> {
    const known = this.#link;
    if (known !== undefined && known.guard.trouble === undefined) {
      if (known.mails < this.#options.mailsPerConnection) return known;
      await this.close();
    }
    const link = this.#open();
    this.#link = link;
    try {
      await link.upstream.initializeSmtpSession();
      // Waits for mails until it is closed; what goes wrong there, the guard has seen.
      link.upstream.start().catch(() => undefined);
    } catch (error) {
      link.guard.gaveUp(error);
    }
    return link;
  }

  /** Puts a guard in the place of worker-mailer's reader and writer, before a byte was read. */
  #open(): Link {
    const { host, port, tls } = this.#options;
    const target = tls === "implicit" || tls === "none" ? tls : "starttls";
    const upstream = openUpstream({ host, port, tls: target === "none" ? "off" : target });
    const { socket, reader, writer } = upstream;
    const wire = new SocketWire({ socket, reader, writer }, this.#timers);
    const guard = new Guard(wire, this.#options);
    upstream.socket = guardedSocket(guard);
    upstream.reader = guardedReader(guard);
    upstream.writer = guardedWriter(guard);
    // Its own waits with a timer that is never stopped, and gives up an accepted mail after 30 s. The guard's deadlines
    // end every wait.
    upstream.readTimeout = () => upstream.read();
    wire.start(guard);
    return { upstream, guard, mails: 0 };
  }

  #unavailable(trouble: RouteTrouble): Delivery {
    const { host, port, tls, auth } = this.#options;
    const facts: RouteFacts = {
      host,
      port,
      tls,
      hasCredentials: auth !== undefined,
      hasToken: false,
      hasCertificate: false,
    };
    return { kind: "unavailable", trouble: { ...trouble, fix: adviceOnTrouble(trouble, facts).fix } };
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function guardedReader(guard: Guard): SocketReader {
  return {
    read: async () => ({ done: false, value: encoder.encode(await guard.hear()) }),
    releaseLock: () => undefined,
  };
}

function guardedWriter(guard: Guard): SocketWriter {
  return {
    write: (bytes) => Promise.try(() => guard.say(decoder.decode(bytes))),
    releaseLock: () => undefined,
  };
}

function guardedSocket(guard: Guard): WorkerSocket {
  const socket: WorkerSocket = {
    opened: Promise.resolve(),
    readable: { getReader: () => guardedReader(guard) },
    writable: { getWriter: () => guardedWriter(guard) },
    startTls: () => {
      guard.startTls();
      return socket;
    },
    close: () => Promise.resolve(),
  };
  return socket;
}
