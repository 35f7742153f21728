/**
 * The longest waits, each a name in `timeouts`. RFC 5321 section 4.5.3.2 asks for the long ones; greeting and EHLO are
 * shorter than its 5 min, since our next hop is one that we know, and a mail waits behind them.
 */
export interface Deadlines {
  /** Name lookup, TCP and, with `implicit`, TLS. @default {30_000} */
  readonly connectMs: number;
  /** @default {60_000} */
  readonly greetingMs: number;
  /** @default {60_000} */
  readonly ehloMs: number;
  /** The reply to STARTTLS, and then the handshake. @default {30_000} */
  readonly startTlsMs: number;
  /** @default {60_000} */
  readonly authMs: number;
  /** @default {20_000} */
  readonly rsetMs: number;
  /** @default {300_000} */
  readonly mailMs: number;
  /** @default {300_000} */
  readonly rcptMs: number;
  /** @default {120_000} */
  readonly dataMs: number;
  /**
   * The longest wait until the peer has room for the next 64 KiB of a body: at the least 364 octets a second.
   * @default {180_000}
   */
  readonly bodyMs: number;
  /** After the final dot: giving up early makes duplicates (RFC 1047). @default {600_000} */
  readonly finalMs: number;
  /** @default {2_000} */
  readonly quitMs: number;
  /** How long a connection waits for its next mail before it is ended. @default {20_000} */
  readonly idleMs: number;
}

export const DEFAULT_DEADLINES: Deadlines = {
  connectMs: 30_000,
  greetingMs: 60_000,
  ehloMs: 60_000,
  startTlsMs: 30_000,
  authMs: 60_000,
  rsetMs: 20_000,
  mailMs: 300_000,
  rcptMs: 300_000,
  dataMs: 120_000,
  bodyMs: 180_000,
  finalMs: 600_000,
  quitMs: 2_000,
  idleMs: 20_000,
};
