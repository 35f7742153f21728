import type { RouteTrouble } from "../delivery/transport.ts";
import {
  type AuthExchange,
  authExchange,
  type Credentials,
  type Login,
  loginOf,
  mechanismsFor,
  type PasswordMechanism,
} from "./auth.ts";
import { type Capabilities, NO_CAPABILITIES, parseCapabilities } from "./capability.ts";
import type { Deadlines } from "./deadline.ts";
import type { Dialogue, ReplyReader, Verb } from "./dialogue.ts";
import { troubleOf } from "./ending.ts";
import { verdictOn } from "./outcome.ts";
import { redactReply } from "./redact.ts";
import type { ServerReply } from "./reply.ts";

/** How TLS is used: from the first byte, by STARTTLS or not at all, by STARTTLS when it is offered, never. */
export type TlsPolicy = "implicit" | "required" | "opportunistic" | "none";

export interface OpeningSettings {
  readonly tls: TlsPolicy;
  readonly ehloName: string;
  readonly auth: Credentials | undefined;
  /** Insists on one way to show the password. */
  readonly authMechanism: PasswordMechanism | undefined;
  /** Lets the credentials go out readable by everybody on the way. */
  readonly allowPlaintextAuth: boolean;
  readonly deadlines: Deadlines;
  /** Sees every reply before the first mail, without our secrets: for `doctor`. */
  readonly onOpening?: ((verb: Verb, reply: ServerReply) => void) | undefined;
}

/** Everything before the first mail: greeting, EHLO, STARTTLS, EHLO again, AUTH. */
export class Opening implements ReplyReader {
  readonly #dialogue: Dialogue;
  readonly #settings: OpeningSettings;
  readonly #done: (capabilities: Capabilities) => void;
  readonly #fail: (trouble: RouteTrouble) => void;
  readonly #startTls: () => void;
  #capabilities: Capabilities = NO_CAPABILITIES;
  #isSecure: boolean;
  /** STARTTLS was refused and the policy lets us go on without. */
  #isPlainForGood = false;
  #exchange: AuthExchange | undefined;
  #answered = 0;

  constructor(
    dialogue: Dialogue,
    settings: OpeningSettings,
    then: {
      readonly done: (capabilities: Capabilities) => void;
      readonly fail: (trouble: RouteTrouble) => void;
      readonly startTls: () => void;
    },
  ) {
    this.#dialogue = dialogue;
    this.#settings = settings;
    this.#done = then.done;
    this.#fail = then.fail;
    this.#startTls = then.startTls;
    this.#isSecure = settings.tls === "implicit";
  }

  /** The connection stands, with TLS when the policy is `implicit`. */
  connected(): void {
    const { greetingMs } = this.#settings.deadlines;
    this.#dialogue.expect({ verb: "GREETING", phase: "greeting", deadlineMs: greetingMs, reader: this });
  }

  /**
   * The handshake after STARTTLS is done. The reply to this EHLO replaces all that was offered before (RFC 3207 section
   * 4.2).
   */
  secured(): void {
    this.#isSecure = true;
    this.#ehlo();
  }

  replied(verb: Verb, reply: ServerReply): void {
    this.#settings.onOpening?.(verb, reply);
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
    if (verdict.then === "go") this.#ehlo();
    else this.#fail(troubleOf(verdict.then === "end" ? verdict.trouble : "protocol", "greeting", { reply }));
  }

  #ehlo(): void {
    const { ehloName, deadlines } = this.#settings;
    this.#dialogue.say(`EHLO ${ehloName}`, {
      verb: "EHLO",
      phase: "ehlo",
      deadlineMs: deadlines.ehloMs,
      reader: this,
    });
  }

  #introduced(verb: "EHLO" | "HELO", reply: ServerReply): void {
    const { tls, auth, ehloName, deadlines } = this.#settings;
    const verdict = verdictOn("ehlo", reply);
    if (verdict.then === "go") {
      this.#capabilities = verb === "EHLO" ? parseCapabilities(reply) : NO_CAPABILITIES;
      return this.#secureOrAuthenticate();
    }
    const needsExtensions = auth !== undefined || (tls === "required" && !this.#isSecure);
    if (verdict.then === "fall_back" && verb === "EHLO" && !needsExtensions) {
      return this.#dialogue.say(`HELO ${ehloName}`, {
        verb: "HELO",
        phase: "ehlo",
        deadlineMs: deadlines.ehloMs,
        reader: this,
      });
    }
    this.#fail(troubleOf(verdict.then === "end" ? verdict.trouble : "greeting_refused", "ehlo", { reply }));
  }

  #secureOrAuthenticate(): void {
    const { tls, deadlines } = this.#settings;
    const wantsTls = !this.#isSecure && !this.#isPlainForGood && (tls === "required" || tls === "opportunistic");
    if (wantsTls && this.#capabilities.startTls) {
      return this.#dialogue.say("STARTTLS", {
        verb: "STARTTLS",
        phase: "starttls",
        deadlineMs: deadlines.startTlsMs,
        reader: this,
      });
    }
    if (wantsTls && tls === "required") {
      const reason = "The server does not offer STARTTLS, and TLS is required on this route";
      return this.#fail(troubleOf("tls_required", "ehlo", { reason }));
    }
    this.#authenticate();
  }

  #tlsAnswered(reply: ServerReply): void {
    const { tls, deadlines } = this.#settings;
    const verdict = verdictOn("starttls", reply);
    if (verdict.then === "go") {
      // Bytes behind the 220 were not encrypted, and would be read as the server's first words over TLS
      // (CVE-2021-38371).
      if (this.#dialogue.hasUnread) {
        const reason = "Bytes followed the reply to STARTTLS before TLS began: somebody may be tampering";
        return this.#fail(troubleOf("tls_injection", "starttls", { reason }));
      }
      this.#dialogue.rest("starttls", deadlines.startTlsMs);
      return this.#startTls();
    }
    if (verdict.then === "fall_back" && tls === "opportunistic") {
      this.#isPlainForGood = true;
      return this.#authenticate();
    }
    this.#fail(troubleOf(verdict.then === "end" ? verdict.trouble : "tls_required", "starttls", { reply }));
  }

  #authenticate(): void {
    const { auth, allowPlaintextAuth } = this.#settings;
    if (auth === undefined) return this.#done(this.#capabilities);
    if (!this.#isSecure && !allowPlaintextAuth) {
      const reason = "The connection is not encrypted, so the credentials are not sent";
      return this.#fail(troubleOf("tls_required", "auth", { reason }));
    }
    const spoken = mechanismsFor(auth, this.#settings.authMechanism);
    const mechanism = spoken.find((each) => this.#capabilities.auth.has(each));
    if (mechanism === undefined) {
      const offered = [...this.#capabilities.auth].join(", ");
      const reason = offered === ""
        ? "The server does not offer AUTH, and credentials are configured"
        : `The server offers AUTH ${offered.slice(0, 200)}, and these credentials are for ${spoken.join(" or ")}`;
      const detail = offered === "" ? "not_offered" : "no_mechanism";
      return this.#fail(troubleOf("auth_unavailable", "auth", { reason, detail }));
    }
    let login: Login;
    try {
      login = loginOf(auth);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return this.#fail(troubleOf("auth_unavailable", "auth", { reason, detail: "no_secret" }));
    }
    this.#exchange = authExchange(mechanism, login);
    this.#dialogue.startCleaning((reply) => redactReply(reply, login));
    this.#sayAuth(this.#exchange.command, `AUTH ${mechanism} ****`);
  }

  #authAnswered(reply: ServerReply): void {
    const verdict = verdictOn("auth", reply);
    if (verdict.then === "go") {
      this.#dialogue.stopCleaning();
      return this.#done(this.#capabilities);
    }

    const answer = this.#exchange?.answers[this.#answered];
    if (verdict.then === "answer" && answer !== undefined) {
      this.#answered++;
      return this.#sayAuth(answer, "****");
    }
    // A 334 more than the mechanism has steps.
    this.#fail(troubleOf(verdict.then === "end" ? verdict.trouble : "protocol", "auth", { reply }));
  }

  #sayAuth(line: string, shown: string): void {
    const deadlineMs = this.#settings.deadlines.authMs;
    this.#dialogue.say(line, { verb: "AUTH", phase: "auth", deadlineMs, reader: this }, shown);
  }
}
