import type { Phase, RouteTrouble } from "../relay/delivery/transport.ts";
import type { Capabilities } from "../relay/smtp/capability.ts";
import type { Cause } from "../relay/smtp/cause.ts";
import { Dialogue, type DialogueOwner, type ReplyReader, type Wire } from "../relay/smtp/dialogue.ts";
import { troubleOf } from "../relay/smtp/ending.ts";
import type { ServerReply } from "../relay/smtp/reply.ts";
import type { GuardedMail, MailOwner } from "./guarded_mail.ts";
import { GuardedOpening, type GuardSettings, type OpeningOwner } from "./guarded_opening.ts";

/**
 * DESIGN: what stands between worker-mailer and the server, in the place of its reader and its writer.
 *
 * ```
 * worker-mailer ──"I say MAIL"──▶ guard ──our MAIL──▶ server
 * worker-mailer ◀──"250" / "550"── guard ◀──the reply── server
 * ```
 * worker-mailer decides what to do next; none of its bytes reach the wire. The guard says each step in the relay's
 * words, reads the reply with the relay's parser, judges it by the relay's table, and tells worker-mailer in a line of
 * its own to go on or to stop. A step that it does not expect (another version, a fault) ends the connection before
 * anything is written.
 *
 * States: connecting → opening (`guarded_opening.ts`) → idle ⇄ a mail (`guarded_mail.ts`) → closed. Pure: bytes come in
 * by `receive`, effects go out by `GuardedWire`. Guarantees: each mail given to `accept` gets its result, and `hear`
 * rejects once the connection has ended.
 */

/** What the guard does to the outside. */
export type GuardedWire = Wire & {
  /** Reads nothing more until TLS is there. */
  hold(): void;
};

export class Guard implements DialogueOwner, ReplyReader, MailOwner, OpeningOwner {
  readonly #wire: GuardedWire;
  readonly #settings: GuardSettings;
  readonly #dialogue: Dialogue;
  readonly #opening: GuardedOpening;
  #state: "connecting" | "opening" | "idle" | "quitting" = "connecting";
  #mail: GuardedMail | undefined;
  #trouble: RouteTrouble | undefined;
  /** What worker-mailer is to read, and its wait for it. */
  readonly #told: string[] = [];
  #listener: PromiseWithResolvers<string> | undefined;

  constructor(wire: GuardedWire, settings: GuardSettings) {
    this.#wire = wire;
    this.#settings = settings;
    this.#dialogue = new Dialogue(wire, this, { connectMs: settings.deadlines.connectMs, log: undefined });
    this.#opening = new GuardedOpening(this.#dialogue, settings, this);
    this.#dialogue.commit();
  }

  /** What the server offers, once a mail may be sent. */
  get capabilities(): Capabilities {
    return this.#opening.capabilities;
  }

  /** Why the connection has ended; undefined while it stands. */
  get trouble(): RouteTrouble | undefined {
    return this.#trouble;
  }

  /** The connection stands, with TLS when the policy is `implicit`. */
  connected(): void {
    this.#state = "opening";
    this.#opening.connected();
    this.#dialogue.commit();
  }

  /** The handshake after STARTTLS is done. */
  secured(): void {
    this.#opening.secured();
    this.#dialogue.commit();
  }

  /** Bytes from the server. */
  receive(bytes: Uint8Array): void {
    this.#dialogue.receive(bytes);
  }

  /** The connection is gone, or was never made. */
  ended({ code, reason }: Cause): void {
    this.fail(troubleOf(code, this.#dialogue.phase, { reason }));
  }

  /** The deadline armed last has passed. */
  deadlinePassed(): void {
    const isConnecting = this.#state === "connecting";
    const reason = isConnecting ? "The connection was not made in time" : "The server did not answer in time";
    this.fail(troubleOf(isConnecting ? "connect_timeout" : "timeout", this.#dialogue.phase, { reason }));
  }

  /** Takes the mail that worker-mailer is about to send. It gets its result by itself. */
  accept(mail: GuardedMail): void {
    this.#mail = mail;
    if (this.#trouble !== undefined) mail.interrupted(this.#trouble);
  }

  /**
   * worker-mailer has given up the opening, or this mail: expected where it was told to stop, and else a fault of its
   * own.
   */
  gaveUp(error: unknown, mail?: GuardedMail): void {
    if (mail?.isStopped === true) return;
    const reason = `worker-mailer gave up: ${error instanceof Error ? error.message : String(error)}`;
    this.fail(troubleOf("protocol", this.#dialogue.phase, { reason }));
  }

  /**
   * The next line for worker-mailer.
   * @throws {Error} when the connection has ended, where its own reader would spin for ever
   */
  async hear(): Promise<string> {
    const line = this.#told.shift();
    if (line !== undefined) return line;
    if (this.#trouble !== undefined) throw new Error(this.#trouble.reason);
    this.#listener = Promise.withResolvers();
    return await this.#listener.promise;
  }

  /** worker-mailer wants to say this. @throws {Error} when it may not */
  say(text: string): void {
    if (this.#trouble !== undefined) throw new Error(this.#trouble.reason);
    // It speaks before its last step was answered.
    if (this.#dialogue.hasExpectations || !this.#says(text)) this.#refuse(text);
    this.#dialogue.commit();
  }

  /** worker-mailer begins the handshake. @throws {Error} when it may not */
  startTls(): void {
    if (this.#trouble !== undefined) throw new Error(this.#trouble.reason);
    if (!this.#opening.startTls()) this.#refuse("a handshake");
    this.#wire.startTls();
  }

  /** The reply to QUIT. Whatever it says, we have nothing more to say. */
  replied(): void {
    this.fail(troubleOf("closed", "connect", { reason: "Ended by QUIT" }));
  }

  garbled(fault: string): void {
    this.fail(troubleOf("protocol", this.#dialogue.phase, { reason: fault }));
  }

  unsolicited(reply: ServerReply): void {
    const { phase } = this.#dialogue;
    if (reply.code === 421) return this.fail(troubleOf("shutting_down", phase, { reply }));
    this.fail(troubleOf("protocol", phase, { reason: `The server said ${reply.code} without being asked` }));
  }

  tell(line: string): void {
    const listener = this.#listener;
    this.#listener = undefined;
    if (listener === undefined) this.#told.push(`${line}\r\n`);
    else listener.resolve(`${line}\r\n`);
  }

  holdForTls(): void {
    this.#wire.hold();
  }

  opened(): void {
    this.rest();
    this.tell("250 go on");
  }

  restIn(phase: Phase): void {
    this.#dialogue.rest(phase, this.#settings.deadlines.idleMs);
  }

  rest(): void {
    this.#state = "idle";
    this.#mail = undefined;
    this.restIn("connect");
  }

  fail(trouble: RouteTrouble): void {
    if (this.#trouble !== undefined) return;
    this.#trouble = trouble;
    this.#dialogue.end();
    this.#wire.close();
    this.#mail?.interrupted(trouble);
    this.#listener?.reject(new Error(trouble.reason));
  }

  /** Says what belongs to this step of worker-mailer; false when it has no place here. */
  #says(text: string): boolean {
    if (this.#state === "opening") return this.#opening.say(text);
    if (this.#state !== "idle") return false;
    if (this.#mail !== undefined) return this.#mail.say(text, this.#dialogue);
    if (!text.startsWith("QUIT\r\n")) return false;
    this.#state = "quitting";
    const { quitMs } = this.#settings.deadlines;
    this.#dialogue.say("QUIT", { verb: "QUIT", phase: "connect", deadlineMs: quitMs, reader: this });
    return true;
  }

  /** worker-mailer does what it should not: it is another version, or has a fault that we do not know. */
  #refuse(said: string): never {
    const reason = `worker-mailer went on with ${JSON.stringify(said.slice(0, 20))}, which has no place there`;
    this.fail(troubleOf("protocol", this.#dialogue.phase, { reason }));
    throw new Error(reason);
  }
}
