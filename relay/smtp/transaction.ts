import type { Phase, RouteTrouble } from "../delivery/transport.ts";
import { type Mail, mailCommand, rcptCommand } from "./command.ts";
import { contentFor } from "./content.ts";
import type { Dialogue, ReplyReader, Verb } from "./dialogue.ts";
import { meaningOfEnd, type Progress, troubleOf } from "./ending.ts";
import { type Gate, gateOf } from "./gate.ts";
import { Handover } from "./handover.ts";
import { meaningOf, type Verdict, verdictOn } from "./outcome.ts";
import { faultForServer } from "./preflight.ts";
import type { ServerReply } from "./reply.ts";
import { Tally } from "./tally.ts";
import type { TransactionResult, TransactionSettings } from "./transaction_frame.ts";

/**
 * The most bytes of commands in flight. A server that stops reading while its own replies are not read would block us
 * both for ever; 4 KiB fit into every socket buffer.
 */
const WINDOW_BYTES = 4096;

/** Who a transaction reports to. */
export interface TransactionOwner {
  /** The end of the content is written: the next mail may follow right behind it (RFC 2920 section 3.1). */
  committed(): void;
  /** Every reply is in, and the connection is ready for the next transaction. */
  finished(transaction: Transaction, result: TransactionResult, next: { readonly needsReset: boolean }): void;
  /** The connection must end; `interrupted` is called in turn. */
  fail(trouble: RouteTrouble): void;
}

/** What to say next; from `replies` on, what we wait for. */
type Step = "reset" | "mail" | "rcpt" | "gate" | "replies" | "content" | "final";

/**
 * The dialogue about one mail: RSET after an error, MAIL, RCPT of each recipient, the gate (DATA, or a first BDAT: may
 * the content come?), the content (`handover.ts`), the final reply.
 */
export class Transaction implements ReplyReader {
  readonly mail: Mail;
  /** As it is said to this server. */
  readonly #said: Mail;
  readonly #dialogue: Dialogue;
  readonly #settings: TransactionSettings;
  readonly #owner: TransactionOwner;
  readonly #tally: Tally;
  readonly #gate: Gate;
  #handover: Handover | undefined;
  #step: Step;
  /** Replies to commands of this mail up to the gate that are still to come. */
  #outstanding = 0;
  #progress: Progress = "untouched";
  #needsReset: boolean;
  /** The replies belong to other commands than we took them for. */
  #isOutOfStep = false;

  constructor(
    mail: Mail,
    dialogue: Dialogue,
    options: { readonly settings: TransactionSettings; readonly owner: TransactionOwner },
  ) {
    this.mail = mail;
    this.#dialogue = dialogue;
    this.#settings = options.settings;
    this.#owner = options.owner;
    this.#tally = new Tally(mail.envelope.recipients);
    this.#needsReset = options.settings.needsReset;
    this.#step = this.#needsReset ? "reset" : "mail";
    const { capabilities } = options.settings;
    this.#said = { envelope: mail.envelope, content: contentFor(mail.content, capabilities) };
    this.#gate = gateOf(this.#said.content, capabilities);
  }

  /** Whether the content is on its way and its end is not: a reply may come before it is due. */
  get isInBody(): boolean {
    return this.#step === "content";
  }

  /** Whether the end of the content is written, and only its reply is still to come. */
  get isCommitted(): boolean {
    return this.#step === "final";
  }

  start(): void {
    const fault = faultForServer(this.#said, this.#settings.capabilities);
    if (fault !== undefined) this.#tally.refuse(fault.test, fault.meaning, { reason: fault.reason });
    this.#speak();
  }

  replied(verb: Verb, reply: ServerReply): void {
    if (this.#step === "final") return this.#contentAnswered(reply);
    if (this.#step === "content") return this.#chunkAnswered(reply);
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
      case "BDAT":
        return this.#gateAnswered(reply);
      default:
        throw new Error(`Cannot read a reply to ${verb}: it does not belong to a transaction`);
    }
  }

  /** The kernel has the whole content. */
  handed(): void {
    if (this.#step === "content") this.#handover?.handed();
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
  interrupted(trouble: RouteTrouble): TransactionResult {
    if (this.#tally.isComplete && !this.#isOutOfStep) return this.#result();
    const meaning = meaningOfEnd(this.#progress, trouble);
    if (meaning === undefined) return { kind: "unavailable", trouble };
    this.#tally.settleRest({ ...meaning, phase: trouble.phase }, trouble);
    return this.#result();
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
    if (isEcho && this.#settings.isBehind && reply.code < 300) {
      // No server takes a recipient after a refused MAIL (RFC 5321 section 4.1.4): this is the reply to MAIL, and what
      // we took for that was one too many to the content before. On a fresh connection the mail gets replies of its
      // own.
      this.#isOutOfStep = true;
      return this.#end(reply, "protocol", "mail");
    }
    const verdict = verdictOn("rcpt", reply, { hasAccepted: this.#tally.acceptedCount > 0 });
    if (verdict.then === "end" && !(isEcho && reply.code === 503)) return this.#end(reply, verdict.trouble, "rcpt");
    if (!isEcho) this.#tallyRcpt(verdict, reply);
    this.#speak();
  }

  #tallyRcpt(verdict: Verdict, reply: ServerReply): void {
    if (verdict.then !== "next") return this.#tally.answered(meaningOf(verdict, "rcpt"), { reply });
    const reason = "Too many recipients in one mail for this server";
    this.#tally.postponed({ kind: "deferred", phase: "rcpt", blame: "route" }, { reason, reply });
  }

  #gateAnswered(reply: ServerReply): void {
    const verdict = verdictOn(this.#gate.verb === "DATA" ? "data" : "bdat", reply);
    if (this.#tally.isComplete) {
      // RFC 2920 section 3.1: it may say 354 all the same, and then a lone dot sends nothing to nobody.
      if (verdict.then === "go" && this.#gate.verb === "DATA") return this.#handOver().endWithout();
      const isEcho = reply.code === 503 || verdict.then !== "end";
      return isEcho ? this.#finish() : this.#end(reply, verdict.trouble, "data");
    }
    if (verdict.then === "end") return this.#end(reply, verdict.trouble, "data");
    if (verdict.then === "go") {
      this.#step = "content";
      return this.#handOver().begin();
    }
    this.#settleRest(verdict, reply, "data");
    this.#finish();
  }

  #handOver(): Handover {
    this.#handover = new Handover(this.#said.content, this.#dialogue, {
      gate: this.#gate,
      deadlines: this.#settings.deadlines,
      reader: this,
      ending: () => this.#commit(),
      ended: () => this.#owner.committed(),
    });
    return this.#handover;
  }

  /** Right before the bytes that end the content are written: from here on the server may have the mail. */
  #commit(): boolean {
    if (!this.#tally.isComplete) {
      try {
        this.mail.witness?.committing(this.#tally.openPositions());
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#owner.fail(troubleOf("content_failed", "body", { reason }));
        return false;
      }
      this.#progress = "committed";
    }
    this.#step = "final";
    return true;
  }

  #chunkAnswered(reply: ServerReply): void {
    const verdict = verdictOn("bdat", reply);
    if (verdict.then === "end") return this.#end(reply, verdict.trouble, "body");
    if (verdict.then === "go") return this.#handover?.taken();
    this.#settleRest(verdict, reply, "body");
    if (this.#handover?.isHanded !== true) return this.#end(reply, "protocol", "body");
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
        return mailCommand(this.#said, this.#settings.capabilities);
      case "rcpt": {
        const recipient = this.#tally.next();
        if (recipient !== undefined) return rcptCommand(recipient, this.#said, this.#settings.capabilities);
        this.#step = "gate";
        return this.#gate.command;
      }
      case "gate":
        return this.#gate.command;
      default:
        return undefined;
    }
  }

  #say(command: string): void {
    const { rsetMs, mailMs, rcptMs, dataMs } = this.#settings.deadlines;
    const dialogue = this.#dialogue;
    this.#outstanding++;
    switch (this.#step) {
      case "reset":
        this.#step = "mail";
        return dialogue.say(command, { verb: "RSET", phase: "mail", deadlineMs: rsetMs, reader: this });
      case "mail":
        this.#step = "rcpt";
        return dialogue.say(command, { verb: "MAIL", phase: "mail", deadlineMs: mailMs, reader: this });
      case "rcpt":
        this.#tally.named();
        return dialogue.say(command, { verb: "RCPT", phase: "rcpt", deadlineMs: rcptMs, reader: this });
      default:
        this.#step = "replies";
        dialogue.say(command, { verb: this.#gate.verb, phase: "data", deadlineMs: dataMs, reader: this });
        if (this.#gate.chunk.length > 0) dialogue.content(this.#gate.chunk);
    }
  }

  #settleRest(verdict: Verdict, reply: ServerReply, phase: Phase): void {
    this.#tally.settleRest(meaningOf(verdict, phase) ?? { kind: "sent", phase, blame: "message" }, { reply });
  }

  #end(reply: ServerReply, code: string, phase: Phase): void {
    this.#owner.fail(troubleOf(code, phase, { reply }));
  }

  #finish(): void {
    this.#owner.finished(this, this.#result(), { needsReset: this.#needsReset });
  }

  #result(): TransactionResult {
    return { kind: "attempted", outcomes: this.#tally.outcomes(), rest: this.#tally.rest };
  }
}
