/** A way into a server, each on a port of its own. */
export type Entrance =
  /** No TLS, no AUTH: a server that trusts us by our address. */
  | "plain"
  /** STARTTLS and AUTH PLAIN, both required. */
  | "submission"
  /** The same with AUTH LOGIN and no other mechanism. */
  | "login"
  /** TLS from the first byte on, and AUTH PLAIN. */
  | "implicit";

/** A real mail server with mailboxes, on 127.0.0.1, for as long as a test file runs. */
export interface MailServer extends AsyncDisposable {
  /** Undefined for an entrance that this server does not have. */
  port(entrance: Entrance): number | undefined;
  /** The port of this machine that mail for `PASSED_ON` is passed on to; undefined: it passes nothing on. */
  readonly onward?: number | undefined;
  /** The certificate of its authority. */
  readonly ca: string;
  /** What lies in a box, as soon as there are as many mails as that. Lines end in LF, as Unix mailboxes have it. */
  mails(box: string, count: number): Promise<readonly Uint8Array[]>;
}

/** The host that the servers' certificate names. */
export const HOST = "localhost";
/** Mail for any other domain is refused. */
export const DOMAIN = "corp.example";
export const CREDENTIALS = { user: "relay", password: "pa ss=word" };
export const MAX_MAIL_BYTES = 10_000_000;
/** The local parts that exist: each test has its own, so that no other's mail lies there. */
export const BOXES = [
  ...["bytes", "starttls", "plain", "login", "implicit", "wrong", "some", "others", "size", "dsn"] as const,
  ...["bounces", "delivered", "successes", "many", "large", "larger", "corpus", "evil", "attacks", "jörg"] as const,
] as const;

/** Whose mail a server takes, and passes on. */
export const PASSED_ON = `gone@${DOMAIN}`;

export type Box = (typeof BOXES)[number];
