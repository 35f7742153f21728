import type { Phase, RouteTrouble } from "../relay/delivery/transport.ts";
import { type AuthExchange, authExchange, loginOf, mechanismsFor } from "../relay/smtp/auth.ts";
import {
  type Capabilities,
  type DeliveryReports,
  NO_CAPABILITIES,
  parseCapabilities,
} from "../relay/smtp/capability.ts";
import type { Dialogue, Expectation, ReplyReader, Verb } from "../relay/smtp/dialogue.ts";
import { troubleOf } from "../relay/smtp/ending.ts";
import type { OpeningSettings } from "../relay/smtp/opening.ts";
import { verdictOn } from "../relay/smtp/outcome.ts";
import { redactReply } from "../relay/smtp/redact.ts";
import type { ServerReply } from "../relay/smtp/reply.ts";

/** What the guard is told about the server. */
export type GuardSettings = OpeningSettings & {
  /** Whether delivery reports are asked for where DSN is offered. */
  readonly dsn: DeliveryReports;
};

/** Who answers worker-mailer, and ends the connection. */
export interface OpeningOwner {
  /** The next line that worker-mailer reads. */
  tell(line: string): void;
  fail(trouble: RouteTrouble): void;
  /** Reads nothing more until TLS is there. */
  holdForTls(): void;
  /** Mails may be sent. */
  opened(): void;
}

/**
 * What worker-mailer does next. It waits for the greeting; and while TLS is being agreed on (`securing`) it says EHLO
 * already.
 */
type Step = "greeting" | "ehlo" | "helo" | "starttls" | "handshake" | "securing" | "auth";

/**
 * Everything before the first mail: worker-mailer's steps, in our words. It is told of the server only what it is to do
 * next: STARTTLS when TLS is to be, AUTH when there are credentials, and nothing that was said before TLS.
 */
export class GuardedOpening implements ReplyReader {
  readonly #dialogue: Dialogue;
  readonly #settings: GuardSettings;
  readonly #owner: OpeningOwner;
  #step: Step = "greeting";
  #isSecure: boolean;
  #exchange: AuthExchange | undefined;
  #answered = 0;
  /** EHLO is to be said when TLS is there. */
  #owesEhlo = false;

  /** What the server offers: the last time that it was asked. */
  capabilities: Capabilities = NO_CAPABILITIES;

  constructor(dialogue: Dialogue, settings: GuardSettings, owner: OpeningOwner) {
    this.#dialogue = dialogue;
    this.#settings = settings;
    this.#owner = owner;
    this.#isSecure = settings.tls === "implicit";
  }

  /** The connection stands, with TLS when the policy is `implicit`. */
  connected(): void {
    this.#dialogue.expect(this.#expect("GREETING", "greeting", this.#settings.deadlines.greetingMs));
  }

  /** worker-mailer wants to go on. @returns false when this is not its next step */
  say(text: string): boolean {
    const { ehloName, deadlines } = this.#settings;
    if (this.#step === "ehlo" && text.startsWith("EHLO ")) {
      this.#ehlo();
    } else if (this.#step === "securing" && text.startsWith("EHLO ") && !this.#owesEhlo) {
      this.#owesEhlo = true;
    } else if (this.#step === "helo" && text.startsWith("HELO ")) {
      this.#dialogue.say(`HELO ${ehloName}`, this.#expect("HELO", "ehlo", deadlines.ehloMs));
    } else if (this.#step === "starttls" && text.startsWith("STARTTLS\r\n")) {
      this.#dialogue.say("STARTTLS", this.#expect("STARTTLS", "starttls", deadlines.startTlsMs));
    } else if (this.#step === "auth" && text.startsWith("AUTH ") && this.#exchange !== undefined) {
      this.#sayAuth(this.#exchange.command);
    } else {
      return false;
    }
    return true;
  }

  /** worker-mailer begins the handshake. @returns false when this is not its next step */
  startTls(): boolean {
    if (this.#step !== "handshake") return false;
    this.#step = "securing";
    return true;
  }

  /**
   * The handshake is done and the server is who it should be. What it offered before counts no more (RFC 3207 section
   * 4.2).
   */
  secured(): void {
    this.#isSecure = true;
    this.capabilities = NO_CAPABILITIES;
    this.#next("ehlo", "ehlo", this.#settings.deadlines.ehloMs);
    if (this.#owesEhlo) this.#ehlo();
  }

  replied(verb: Verb, reply: ServerReply): void {
    switch (verb) {
      case "GREETING":
        return this.#greeted(reply);
      case "EHLO":
      case "HELO":
        return this.#introduced(verb, reply);
      case "STARTTLS":
        return this.#tlsAnswered(reply);
      case "AUTH":
        return this.#authAnswered(reply);
      default:
        throw new Error(`Cannot read a reply to ${verb}: it does not belong to the opening of a session`);
    }
  }

  #greeted(reply: ServerReply): void {
    const verdict = verdictOn("greeting", reply);
    if (verdict.then !== "go") {
      return this.#end("greeting", verdict.then === "end" ? verdict.trouble : "protocol", reply);
    }
    this.#next("ehlo", "ehlo", this.#settings.deadlines.ehloMs);
    this.#owner.tell("220 go on");
  }

  #ehlo(): void {
    const { ehloName, deadlines } = this.#settings;
    this.#dialogue.say(`EHLO ${ehloName}`, this.#expect("EHLO", "ehlo", deadlines.ehloMs));
  }

  #introduced(verb: "EHLO" | "HELO", reply: ServerReply): void {
    const { tls, auth, deadlines, dsn } = this.#settings;
    const verdict = verdictOn("ehlo", reply);
    const needsExtensions = auth !== undefined || (tls === "required" && !this.#isSecure);
    if (verdict.then === "fall_back" && verb === "EHLO" && !needsExtensions) {
      this.#next("helo", "ehlo", deadlines.ehloMs);
      return this.#owner.tell("500 no");
    }
    if (verdict.then !== "go") {
      return this.#end("ehlo", verdict.then === "end" ? verdict.trouble : "greeting_refused", reply);
    }
    const offered = verb === "EHLO" ? parseCapabilities(reply) : NO_CAPABILITIES;
    this.capabilities = { ...offered, chunking: false, dsn: offered.dsn === "none" ? "none" : dsn };
    const wantsTls = !this.#isSecure && (tls === "required" || tls === "opportunistic");
    if (wantsTls && offered.startTls) {
      this.#next("starttls", "starttls", deadlines.startTlsMs);
      return this.#owner.tell("250 STARTTLS");
    }
    if (wantsTls && tls === "required") {
      const reason = "The server does not offer STARTTLS, and TLS is required on this route";
      return this.#owner.fail(troubleOf("tls_required", "ehlo", { reason }));
    }
    this.#authenticate();
  }

  #tlsAnswered(reply: ServerReply): void {
    const verdict = verdictOn("starttls", reply);
    if (verdict.then !== "go") {
      // Also where TLS need not be: worker-mailer goes on without it only where it was not offered.
      return this.#end("starttls", verdict.then === "end" ? verdict.trouble : "tls_required", reply);
    }
    // Bytes behind the 220 were not encrypted, and would be read as the server's first words over TLS (CVE-2021-38371).
    if (this.#dialogue.hasUnread) {
      const reason = "Bytes followed the reply to STARTTLS before TLS began: somebody may be tampering";
      return this.#owner.fail(troubleOf("tls_injection", "starttls", { reason }));
    }
    this.#owner.holdForTls();
    this.#next("handshake", "starttls", this.#settings.deadlines.startTlsMs);
    this.#owner.tell("220 go on");
  }

  #authenticate(): void {
    const { auth, authMechanism, allowPlaintextAuth, deadlines } = this.#settings;
    if (auth === undefined) return this.#owner.opened();
    if (!this.#isSecure && !allowPlaintextAuth) {
      const reason = "The connection is not encrypted, so the credentials are not sent";
      return this.#owner.fail(troubleOf("tls_required", "auth", { reason }));
    }
    const mechanism = mechanismsFor(auth, authMechanism).find((each) => this.capabilities.auth.has(each));
    if (mechanism === undefined) {
      const isOffered = this.capabilities.auth.size > 0;
      const reason = isOffered
        ? "The server offers no AUTH by which these credentials could be shown"
        : "The server does not offer AUTH, and credentials are configured";
      const detail = isOffered ? "no_mechanism" : "not_offered";
      return this.#owner.fail(troubleOf("auth_unavailable", "auth", { reason, detail }));
    }
    const login = loginOf(auth);
    this.#exchange = authExchange(mechanism, login);
    this.#dialogue.startCleaning((reply) => redactReply(reply, login));
    this.#next("auth", "auth", deadlines.authMs);
    // Whichever it is: worker-mailer says one command, and the guard all that belongs to it.
    this.#owner.tell("250 AUTH PLAIN");
  }

  #authAnswered(reply: ServerReply): void {
    const verdict = verdictOn("auth", reply);
    const answer = this.#exchange?.answers[this.#answered];
    if (verdict.then === "answer" && answer !== undefined) {
      this.#answered++;
      return this.#sayAuth(answer);
    }
    if (verdict.then !== "go") return this.#end("auth", verdict.then === "end" ? verdict.trouble : "protocol", reply);
    this.#dialogue.stopCleaning();
    this.#owner.opened();
  }

  #sayAuth(line: string): void {
    this.#dialogue.say(line, this.#expect("AUTH", "auth", this.#settings.deadlines.authMs), "****");
  }

  /** What worker-mailer does next, and how long it may take for it: it may be of a kind that does nothing. */
  #next(step: Step, phase: Phase, deadlineMs: number): void {
    this.#step = step;
    this.#dialogue.rest(phase, deadlineMs);
  }

  #expect(verb: Verb, phase: Phase, deadlineMs: number): Expectation {
    return { verb, phase, deadlineMs, reader: this };
  }

  #end(phase: Phase, code: string, reply: ServerReply): void {
    this.#owner.fail(troubleOf(code, phase, { reply }));
  }
}
