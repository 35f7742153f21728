import { dotStuff } from "../../src/mime/encoding.ts";
import type { Delivery, Phase, RouteTrouble } from "../transport.ts";
import type { Capabilities } from "./capability.ts";
import { type Mail, mailCommand, rcptCommand } from "./command.ts";
import type { Deadlines } from "./deadline.ts";
import type { Dialogue, ReplyReader, Verb } from "./dialogue.ts";
import { meaningOfEnd, type Progress, troubleOf } from "./ending.ts";
import { type Verdict, verdictOn } from "./outcome.ts";
import { needsSmtpUtf8 } from "./path.ts";
import type { ServerReply } from "./reply.ts";
import { Tally } from "./tally.ts";

/**
 * The most bytes of commands in flight. A server that stops reading while its own replies are not read would block us
 * both for ever; 4 KiB fit into every socket buffer.
 */
export const WINDOW_BYTES = 4096;

/**
 * Up to here content and final dot go out as one write. Above, the dot waits until the kernel has the whole content, so
 * that a connection lost in the middle is certainly a mail not taken, and not an uncertain one.
 */
export const ONE_WRITE_BYTES = 65_536;

const FINAL_DOT = Uint8Array.of(0x2e, 0x0d, 0x0a);

/** Who a transaction reports to. */
export interface TransactionOwner {
  /** Every reply is in, and the connection is ready for the next transaction. */
  finished(delivery: Delivery, next: { readonly needsReset: boolean }): void;
  /** The connection must end; `interrupted` is called in turn. */
  fail(trouble: RouteTrouble): void;
}

export interface TransactionSettings {
  readonly capabilities: Capabilities;
  readonly deadlines: Deadlines;
  /** The transaction before this one ended in an error: the server has to forget it first. */
  readonly needsReset: boolean;
}

/** What to say next; from `replies` on, what we wait for. */
type Step = "reset" | "mail" | "rcpt" | "data" | "replies" | "body" | "final";

/** The dialogue about one mail: RSET after an error, MAIL, RCPT of each recipient, DATA, the content, the final dot. */
export class Transaction implements ReplyReader {
  readonly #mail: Mail;
  readonly #dialogue: Dialogue;
  readonly #settings: TransactionSettings;
  readonly #owner: TransactionOwner;
  readonly #tally: Tally;
  #step: Step;
  /** Replies to commands of this mail that are still to come. */
  #outstanding = 0;
  #progress: Progress = "untouched";
  #needsReset: boolean;

  constructor(
    mail: Mail,
    dialogue: Dialogue,
    options: { readonly settings: TransactionSettings; readonly owner: TransactionOwner },
  ) {
    this.#mail = mail;
    this.#dialogue = dialogue;
    this.#settings = options.settings;
    this.#owner = options.owner;
    this.#tally = new Tally(mail.envelope.recipients);
    this.#needsReset = options.settings.needsReset;
    this.#step = this.#needsReset ? "reset" : "mail";
  }

  /** Whether the content is on its way and its final dot is not: a reply may come before it is due. */
  get isInBody(): boolean {
    return this.#step === "body";
  }

  start(): void {
    if (!this.#settings.capabilities.smtpUtf8) this.#refuseUtf8();
    this.#speak();
  }

  replied(verb: Verb, reply: ServerReply): void {
    this.#outstanding--;
    switch (verb) {
      case "RSET":
        if (reply.code >= 300) return this.#end(reply, reply.code === 421 ? "shutting_down" : "protocol", "mail");
        this.#needsReset = false;
        return this.#speak();
      case "MAIL":
        return this.#mailAnswered(reply);
      case "RCPT":
        return this.#rcptAnswered(reply);
      case "DATA":
        return this.#dataAnswered(reply);
      case "CONTENT":
        return this.#contentAnswered(reply);
      default:
        throw new Error(`Cannot read a reply to ${verb}: it does not belong to a transaction`);
    }
  }

  /** The kernel has the whole content. */
  handed(): void {
    if (this.#step !== "body") return;
    this.#progress = "committed";
    this.#writeDot();
  }

  /** A reply that came while the content was still on its way: the server has made up its mind. */
  premature(reply: ServerReply): void {
    const verdict = verdictOn("body", reply);
    if (verdict.then === "end") return this.#end(reply, verdict.trouble, "body");
    this.#settleRest(verdict, reply, "body");
    // It may still read the rest, or take it for commands: nobody knows what its next reply would belong to.
    this.#end(reply, "protocol", "body");
  }

  /** The connection has ended; says what that makes of this mail. */
  interrupted(trouble: RouteTrouble): Delivery {
    if (this.#tally.isComplete) return { kind: "attempted", outcomes: this.#tally.outcomes() };
    const meaning = meaningOfEnd(this.#progress, trouble);
    if (meaning === undefined) return { kind: "unavailable", trouble };
    return { kind: "attempted", outcomes: this.#tally.interrupted(meaning, trouble) };
  }

  #mailAnswered(reply: ServerReply): void {
    const verdict = verdictOn("mail", reply);
    if (verdict.then === "end") return this.#end(reply, verdict.trouble, "mail");
    this.#needsReset = true;
    if (verdict.then === "go") this.#progress = "started";
    else this.#settleRest(verdict, reply, "mail");
    this.#speak();
  }

  #rcptAnswered(reply: ServerReply): void {
    // After a refused MAIL these are its echo, and say nothing about the recipient.
    const isEcho = this.#tally.isComplete;
    const verdict = verdictOn("rcpt", reply, { hasAccepted: this.#tally.acceptedCount > 0 });
    if (verdict.then === "end" && !(isEcho && reply.code === 503)) return this.#end(reply, verdict.trouble, "rcpt");
    if (!isEcho) {
      const meaning = meaningOf(verdict, "rcpt");
      this.#tally.answered(meaning, detailsOf(verdict, reply));
    }
    this.#speak();
  }

  #dataAnswered(reply: ServerReply): void {
    const verdict = verdictOn("data", reply);
    if (this.#tally.isComplete) {
      // RFC 2920 section 3.1: it may say 354 all the same, and then a lone dot sends nothing to nobody.
      if (verdict.then === "go") return this.#writeDot();
      if (verdict.then === "end" && reply.code !== 503) return this.#end(reply, verdict.trouble, "data");
      return this.#finish();
    }
    if (verdict.then === "end") return this.#end(reply, verdict.trouble, "data");
    if (verdict.then === "go") return this.#writeContent();
    this.#settleRest(verdict, reply, "data");
    this.#finish();
  }

  #contentAnswered(reply: ServerReply): void {
    const verdict = verdictOn("final", reply);
    if (verdict.then === "end") return this.#end(reply, verdict.trouble, "final");
    if (!this.#tally.isComplete) {
      this.#needsReset = verdict.then !== "go";
      this.#settleRest(verdict, reply, "final");
    }
    this.#finish();
  }

  /** Says all that may be said now: up to the window with PIPELINING (RFC 2920), else one command at a time. */
  #speak(): void {
    for (let command = this.#nextCommand(); command !== undefined; command = this.#nextCommand()) {
      if (this.#outstanding > 0) {
        if (!this.#settings.capabilities.pipelining) return;
        if (this.#dialogue.unacknowledgedBytes + command.length + 2 > WINDOW_BYTES) return;
      }
      this.#say(command);
    }
    if (this.#outstanding === 0) this.#finish();
  }

  #nextCommand(): string | undefined {
    // Nobody is left to send to: MAIL or all recipients were refused.
    if (this.#tally.isComplete) return undefined;
    switch (this.#step) {
      case "reset":
        return "RSET";
      case "mail":
        return mailCommand(this.#mail, this.#settings.capabilities);
      case "rcpt": {
        const recipient = this.#tally.next();
        if (recipient !== undefined) return rcptCommand(recipient);
        this.#step = "data";
        return "DATA";
      }
      case "data":
        return "DATA";
      default:
        return undefined;
    }
  }

  #say(command: string): void {
    const { rsetMs, mailMs, rcptMs, dataMs } = this.#settings.deadlines;
    this.#outstanding++;
    switch (this.#step) {
      case "reset":
        this.#step = "mail";
        return this.#dialogue.say(command, { verb: "RSET", phase: "mail", deadlineMs: rsetMs, reader: this });
      case "mail":
        this.#step = "rcpt";
        return this.#dialogue.say(command, { verb: "MAIL", phase: "mail", deadlineMs: mailMs, reader: this });
      case "rcpt":
        this.#tally.named();
        return this.#dialogue.say(command, { verb: "RCPT", phase: "rcpt", deadlineMs: rcptMs, reader: this });
      default:
        this.#step = "replies";
        return this.#dialogue.say(command, { verb: "DATA", phase: "data", deadlineMs: dataMs, reader: this });
    }
  }

  #writeContent(): void {
    const stuffed = dotStuff(this.#mail.content);
    if (stuffed.length > ONE_WRITE_BYTES) {
      this.#step = "body";
      this.#dialogue.rest("body", this.#settings.deadlines.bodyMs);
      return this.#dialogue.stream(stuffed);
    }
    this.#progress = "committed";
    this.#dialogue.content(stuffed);
    this.#writeDot();
  }

  #writeDot(): void {
    this.#step = "final";
    this.#outstanding++;
    this.#dialogue.content(FINAL_DOT, ".");
    const deadlineMs = this.#settings.deadlines.finalMs;
    this.#dialogue.expect({ verb: "CONTENT", phase: "final", deadlineMs, reader: this });
  }

  #refuseUtf8(): void {
    const { reversePath } = this.#mail.envelope;
    const reason = "The address needs SMTPUTF8, which the server does not offer";
    if (needsSmtpUtf8(reversePath)) {
      return this.#tally.settleRest({ kind: "bounced", phase: "mail", blame: "message" }, { reason });
    }
    this.#tally.refuse(
      ({ email }) => needsSmtpUtf8(email),
      { kind: "bounced", phase: "rcpt", blame: "recipient" },
      { reason },
    );
  }

  #settleRest(verdict: Verdict, reply: ServerReply, phase: Phase): void {
    this.#tally.settleRest(meaningOf(verdict, phase) ?? { kind: "sent", phase, blame: "message" }, { reply });
  }

  #end(reply: ServerReply, code: string, phase: Phase): void {
    this.#owner.fail(troubleOf(code, phase, { reply }));
  }

  #finish(): void {
    this.#owner.finished({ kind: "attempted", outcomes: this.#tally.outcomes() }, { needsReset: this.#needsReset });
  }
}

/** What a verdict makes of a recipient; undefined: nothing yet. */
function meaningOf(verdict: Verdict, phase: Phase): Parameters<Tally["answered"]>[0] {
  if (verdict.then === "defer") return { kind: "deferred", phase, blame: verdict.blame };
  if (verdict.then === "bounce") return { kind: "bounced", phase, blame: verdict.blame };
  return undefined;
}

function detailsOf(verdict: Verdict, reply: ServerReply): Parameters<Tally["answered"]>[1] {
  return verdict.then === "defer" && verdict.reason !== undefined ? { reason: verdict.reason, reply } : { reply };
}
