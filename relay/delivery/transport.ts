import type { Envelope } from "../../src/envelope.ts";

/** What the next hop said: RFC 5321 section 4.2, with the RFC 3463 code when it gave one. */
export interface Reply {
  /** 200 to 599. */
  readonly code: number;
  /** Such as `5.1.1`; undefined when the server gave none. */
  readonly enhanced?: string;
  /** At most 1,024 characters, lines joined by a blank, control characters removed. */
  readonly text: string;
}

/** The part of the dialogue in which something was decided. `final` begins when the final dot is written. */
export type Phase =
  | "connect"
  | "greeting"
  | "ehlo"
  | "starttls"
  | "auth"
  | "mail"
  | "rcpt"
  | "data"
  | "body"
  | "final";

/** Who has to change something so that it works. */
export type Blame = "message" | "recipient" | "sender" | "route" | "network";

/** What one attempt meant for one recipient. */
export interface Outcome {
  /** The recipient's position in the message (`EnvelopeRecipient.position`). */
  readonly position: number;
  readonly kind: "sent" | "deferred" | "bounced" | "uncertain";
  readonly phase: Phase;
  readonly blame: Blame;
  /** The reply that decided; undefined when the connection ended without one. */
  readonly reply?: Reply;
  /** One sentence for people, without addresses: the reply's text, or what happened instead of a reply. */
  readonly reason: string;
}

/** An outcome, and the route that it came by. */
export type RoutedOutcome = Outcome & { readonly route: string };

/** Trouble before the server accepted this mail's MAIL: the mail is as untried as before. */
export interface RouteTrouble {
  /**
   * A stable name: `connect_refused`, `connect_timeout`, `dns`, `tls_required`, `tls_handshake`, `tls_verify`,
   * `tls_injection`, `auth_required`, `auth_rejected`, `auth_unavailable`, `greeting_refused`, `shutting_down`,
   * `protocol`, `timeout`, `closed`, `aborted`; inside the engine also `chunking_broken` and `content_failed`.
   */
  readonly code: string;
  readonly phase: Phase;
  readonly reply?: Reply;
  readonly reason: string;
  /**
   * A finer name where one code has more than one remedy: the code of the socket's error (`CERT_HAS_EXPIRED`), or
   * `not_offered`.
   */
  readonly detail?: string;
  /** What a person has to change so that it works, as half a sentence. */
  readonly fix?: string;
}

/** The result of one call of `send`: an attempt with one outcome per recipient, or no attempt at all. */
export type Delivery =
  | { readonly kind: "attempted"; readonly outcomes: readonly Outcome[] }
  | { readonly kind: "unavailable"; readonly trouble: RouteTrouble };

/** A mail that is read piece by piece, while the server takes it: it may be too large to be held. */
export interface StreamedContent {
  /** Octets, before dot-stuffing: exactly as many as `chunks` yields. */
  readonly sizeBytes: number;
  /** A header holds an address that is not ASCII, so that the server needs SMTPUTF8 (RFC 6532). */
  readonly needsSmtpUtf8: boolean;
  /** The same mail for a server without SMTPUTF8; undefined when there can be none. */
  readonly asAscii?: (() => MailContent) | undefined;
  /** What it begins with: at least its first line. */
  readonly opening: Uint8Array;
  /** Reads it from its beginning; may be called more than once, one after the other. */
  chunks(): AsyncIterable<Uint8Array>;
}

/** A mail in wire format: CRLF, 7-bit but for addresses that are not ASCII, without dot-stuffing. */
export type MailContent = Uint8Array | StreamedContent;

/**
 * Who is told right before and right after the server may have taken a mail, so that a crash in between leaves a trace.
 */
export interface Witness {
  /**
   * Asked right before MAIL: false when the mail must not be begun any more; then `send` says `unavailable`, and
   * `aborted`.
   */
  mayBegin?(): boolean;
  /**
   * The bytes that end the content are about to be written, for the recipients at these positions.
   *
   * @throws {Error} when they must not be: the mail is then not sent, and `send` rejects
   */
  committing(positions: readonly number[]): void;
  /** What became of them. */
  concluded(outcomes: readonly Outcome[]): void;
}

/** A way out: hands one mail to the next hop. */
export interface Transport {
  /**
   * Tries one mail once. Resolves with an outcome for every recipient of the envelope; rejects only for faults of our
   * own, such as a content that could not be read to its end: then the server has not taken the mail.
   *
   * @param signal gives the wait up while the mail has not been started; a dialogue under way runs to its end
   * @param witness is told of each instant after which the server may have the mail
   */
  send(envelope: Envelope, content: MailContent, signal: AbortSignal, witness?: Witness): Promise<Delivery>;
  /** How many connections to the next hop are open now. */
  openConnections(): number;
  /** Ends idle connections with QUIT and waits for busy ones. */
  close(): Promise<void>;
  /** Ends all connections at once; the mails on them get their outcomes as if the server had hung up. */
  abort(): void;
}
