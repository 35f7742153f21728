import type { ServerReply } from "./reply.ts";

/** What reports are asked for by RFC 3461: none, of failures and delays, or of what was delivered too. */
export type DeliveryReports = "none" | "failures" | "all";

/**
 * What a server says it can do (RFC 5321 section 4.1.1.1). Known again after TLS, never carried over (RFC 3207 section
 * 4.2).
 */
export interface Capabilities {
  /** RFC 2920: commands may be sent in groups. */
  readonly pipelining: boolean;
  /** RFC 1870. */
  readonly size: boolean;
  /** The largest mail the server takes (RFC 1870); undefined when it names no limit. */
  readonly maxSizeBytes: number | undefined;
  /** RFC 3207. */
  readonly startTls: boolean;
  /** RFC 4954: the names of SASL mechanisms in upper case. */
  readonly auth: ReadonlySet<string>;
  /** RFC 6152. */
  readonly eightBitMime: boolean;
  /** RFC 6531. */
  readonly smtpUtf8: boolean;
  /** RFC 3030. */
  readonly chunking: boolean;
  /** RFC 3461: which reports to ask for. */
  readonly dsn: DeliveryReports;
  /** RFC 2034. */
  readonly enhancedStatusCodes: boolean;
}

/** A server that was greeted with HELO, or not at all. */
export const NO_CAPABILITIES: Capabilities = {
  pipelining: false,
  size: false,
  maxSizeBytes: undefined,
  startTls: false,
  auth: new Set(),
  eightBitMime: false,
  smtpUtf8: false,
  chunking: false,
  dsn: "none",
  enhancedStatusCodes: false,
};

/**
 * Reads the capabilities out of a positive reply to EHLO.
 *
 * The first line is the server's greeting and offers nothing. What we do not know is skipped.
 *
 * @example
 * ```ts
 * const reply = { code: 250, text: "", lines: ["mx.example", "size 1000", "AUTH=LOGIN PLAIN"] };
 * if (parseCapabilities(reply).maxSizeBytes !== 1000) throw new Error("unexpected");
 * ```
 */
export function parseCapabilities(reply: ServerReply): Capabilities {
  const found = new Set<string>();
  const auth = new Set<string>();
  let maxSizeBytes: number | undefined;

  for (const line of reply.lines.slice(1)) {
    // `AUTH=LOGIN` is how servers wrote it before RFC 2554; some still send both.
    const [keyword = "", ...parameters] = line.trim().toUpperCase().replace(/^AUTH=/, "AUTH ").split(/ +/);
    found.add(keyword);
    if (keyword === "AUTH") { for (const mechanism of parameters) auth.add(mechanism); }
    if (keyword === "SIZE") maxSizeBytes = sizeOf(parameters[0]);
  }

  return {
    pipelining: found.has("PIPELINING"),
    size: found.has("SIZE"),
    maxSizeBytes,
    startTls: found.has("STARTTLS"),
    auth,
    eightBitMime: found.has("8BITMIME"),
    smtpUtf8: found.has("SMTPUTF8"),
    chunking: found.has("CHUNKING"),
    dsn: found.has("DSN") ? "failures" : "none",
    enhancedStatusCodes: found.has("ENHANCEDSTATUSCODES"),
  };
}

/** 0 means "no fixed limit" (RFC 1870 section 4). A number too large to count exactly limits nothing either. */
function sizeOf(parameter: string | undefined): number | undefined {
  if (parameter === undefined || !/^\d{1,20}$/.test(parameter)) return undefined;
  const bytes = Number(parameter);
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined;
}
