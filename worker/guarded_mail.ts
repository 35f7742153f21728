import type { Delivery, Outcome, Phase, RouteTrouble } from "../relay/delivery/transport.ts";
import type { Capabilities } from "../relay/smtp/capability.ts";
import { type Mail, mailCommand, rcptCommand } from "../relay/smtp/command.ts";
import type { Deadlines } from "../relay/smtp/deadline.ts";
import type { Dialogue, ReplyReader, Verb } from "../relay/smtp/dialogue.ts";
import { meaningOfEnd, outcomeOf, type Progress, troubleOf } from "../relay/smtp/ending.ts";
import { meaningOf, verdictOn } from "../relay/smtp/outcome.ts";
import type { ServerReply } from "../relay/smtp/reply.ts";
import { dotStuff } from "../src/mime/encoding.ts";

/** A mail for one recipient, whole in memory. */
export type WholeMail = Mail & { readonly content: Uint8Array };

/** Who answers worker-mailer, and ends the connection. */
export interface MailOwner {
  /** The next line that worker-mailer reads. */
  tell(line: string): void;
  /** Between two steps, in this phase. */
  restIn(phase: Phase): void;
  /** The mail has its result and the server is ready for the next one. */
  rest(): void;
  fail(trouble: RouteTrouble): void;
}

/** What worker-mailer says next of a mail; with `over` nothing. */
type Step = "mail" | "rcpt" | "data" | "content" | "reset" | "over";

/** Whatever the words of the server were. */
const GO_ON = "250 go on";
/** How worker-mailer ends a content, before it waits for the final reply. */
const CONTENT_END = "\r\n.\r\n";
const FINAL_DOT = Uint8Array.of(0x2e, 0x0d, 0x0a);

/** The dialogue about one mail: worker-mailer's steps, in our words, and what the replies mean. */
export class GuardedMail implements ReplyReader {
  readonly #mail: WholeMail;
  readonly #owner: MailOwner;
  readonly #capabilities: Capabilities;
  readonly #deadlines: Deadlines;
  readonly #result: PromiseWithResolvers<Delivery> = Promise.withResolvers();
  #step: Step = "mail";
  #progress: Progress = "untouched";
  #outcome: Outcome | undefined;

  constructor(
    mail: WholeMail,
    owner: MailOwner,
    server: { readonly capabilities: Capabilities; readonly deadlines: Deadlines },
  ) {
    this.#mail = mail;
    this.#owner = owner;
    this.#capabilities = server.capabilities;
    this.#deadlines = server.deadlines;
  }

  /**
   * What became of it, once the connection is ready for the next mail or has ended. Rejects when the witness forbade
   * the final dot.
   */
  get result(): Promise<Delivery> {
    return this.#result.promise;
  }

  /** worker-mailer was told that the server does not take it. */
  get isStopped(): boolean {
    return this.#outcome !== undefined;
  }

  /** worker-mailer wants to go on. @returns false when this is not its next step */
  say(text: string, dialogue: Dialogue): boolean {
    const { rsetMs, mailMs, rcptMs, dataMs } = this.#deadlines;
    const expect = (verb: Verb, phase: Phase, deadlineMs: number) => ({ verb, phase, deadlineMs, reader: this });
    const [recipient] = this.#mail.envelope.recipients;
    if (this.#step === "mail" && text.startsWith("MAIL FROM:")) {
      dialogue.say(mailCommand(this.#mail, this.#capabilities), expect("MAIL", "mail", mailMs));
      return true;
    }
    if (this.#step === "rcpt" && text.startsWith("RCPT TO:") && recipient !== undefined) {
      dialogue.say(rcptCommand(recipient, this.#mail, this.#capabilities), expect("RCPT", "rcpt", rcptMs));
      return true;
    }
    if (this.#step === "data" && text.startsWith("DATA\r\n")) {
      dialogue.say("DATA", expect("DATA", "data", dataMs));
      return true;
    }
    if (this.#step === "content" && text.endsWith(CONTENT_END)) {
      this.#commit(dialogue);
      return true;
    }
    if (this.#step === "reset" && text.startsWith("RSET")) {
      dialogue.say("RSET", expect("RSET", "mail", rsetMs));
      return true;
    }
    return false;
  }

  replied(verb: Verb, reply: ServerReply): void {
    switch (verb) {
      case "MAIL":
        return this.#judge("mail", reply, "rcpt");
      case "RCPT":
        return this.#judge("rcpt", reply, "data");
      case "DATA":
        return this.#judge("data", reply, "content");
      case "CONTENT":
        return this.#judge("final", reply, "over");
      default:
        // Of RSET.
        if (reply.code >= 300) {
          return this.#owner.fail(troubleOf(reply.code === 421 ? "shutting_down" : "protocol", "mail", { reply }));
        }
        this.#owner.tell(GO_ON);
        this.#finish();
    }
  }

  /** The connection has ended; says what that makes of this mail. */
  interrupted(trouble: RouteTrouble): void {
    const { recipients: [recipient] } = this.#mail.envelope;
    const meaning = meaningOfEnd(this.#progress, trouble);
    if (this.#outcome === undefined && (meaning === undefined || recipient === undefined)) {
      return this.#result.resolve({ kind: "unavailable", trouble });
    }
    if (this.#outcome === undefined && meaning !== undefined && recipient !== undefined) {
      this.#conclude(outcomeOf(recipient.position, { ...meaning, phase: trouble.phase }, trouble));
    }
    this.#resolve();
  }

  /** What the reply means, and what worker-mailer does then. */
  #judge(phase: "mail" | "rcpt" | "data" | "final", reply: ServerReply, next: Step): void {
    const verdict = verdictOn(phase, reply);
    if (verdict.then === "end") return this.#owner.fail(troubleOf(verdict.trouble, phase, { reply }));
    if (phase === "mail" && verdict.then === "go") this.#progress = "started";
    const position = this.#mail.envelope.recipients[0]?.position ?? 0;
    if (verdict.then !== "go") {
      const meaning = meaningOf(verdict, phase) ?? { kind: "deferred", phase, blame: "recipient" };
      this.#conclude(outcomeOf(position, meaning, { reply }));
      this.#step = "reset";
      this.#owner.restIn(phase);
      return this.#owner.tell("550 stop");
    }
    this.#step = next;
    this.#owner.restIn(next === "rcpt" ? "rcpt" : "data");
    if (next === "content") return this.#owner.tell("354 go on");
    if (next === "over") this.#conclude(outcomeOf(position, { kind: "sent", phase, blame: "message" }, { reply }));
    this.#owner.tell(GO_ON);
    if (next === "over") this.#finish();
  }

  /** Content and final dot go out as one write: from its beginning on only the server knows. */
  #commit(dialogue: Dialogue): void {
    const { content, envelope: { recipients }, witness } = this.#mail;
    try {
      witness?.committing(recipients.map(({ position }) => position));
    } catch (error) {
      this.#result.reject(error);
      const reason = error instanceof Error ? error.message : String(error);
      return this.#owner.fail(troubleOf("aborted", "data", { reason }));
    }
    this.#progress = "committed";
    dialogue.content(dotStuff(content));
    dialogue.content(FINAL_DOT, ".");
    dialogue.expect({ verb: "CONTENT", phase: "final", deadlineMs: this.#deadlines.finalMs, reader: this });
  }

  #conclude(outcome: Outcome): void {
    this.#outcome = outcome;
    this.#mail.witness?.concluded([outcome]);
  }

  #finish(): void {
    this.#step = "over";
    this.#owner.rest();
    this.#resolve();
  }

  #resolve(): void {
    if (this.#outcome !== undefined) this.#result.resolve({ kind: "attempted", outcomes: [this.#outcome] });
  }
}
