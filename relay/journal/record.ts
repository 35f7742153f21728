import type { RoutedOutcome } from "../delivery/transport.ts";

/** Which claim of which message: the lease is the proof that nobody else has had it since. */
export interface Mark {
  /** As the settings name it. */
  readonly database: string;
  readonly seq: string;
  readonly lease: string;
}

/** One line of the journal. */
export type JournalRecord =
  /** The end of the content is about to be written: from here on the server may have the mail for these recipients. */
  | { readonly kind: "intent"; readonly mark: Mark; readonly route: string; readonly positions: readonly number[] }
  /** Its reply was read, or never will be. */
  | { readonly kind: "outcome"; readonly mark: Mark; readonly outcomes: readonly RoutedOutcome[] }
  /** The lease had run out under way, and the relay has claimed its own message again. */
  | { readonly kind: "moved"; readonly mark: Mark; readonly lease: string };

/**
 * Writes a record as one line: a checksum, a blank, JSON. A process that is killed while it writes leaves a line that
 * its checksum does not fit.
 *
 * @example
 * ```ts
 * const mark = { database: "home", seq: "7", lease: "1" };
 * const line = recordLine({ kind: "intent", mark, route: "default", positions: [0] });
 * if (parseRecord(line.trimEnd())?.kind !== "intent") throw new Error("unexpected");
 * if (parseRecord(line.slice(0, -3)) !== undefined) throw new Error("unexpected");
 * ```
 */
export function recordLine(record: JournalRecord): string {
  const json = JSON.stringify(record);
  return `${checksum(json)} ${json}\n`;
}

/** Reads one line, without its line end; undefined when it is not whole. */
export function parseRecord(line: string): JournalRecord | undefined {
  const json = line.slice(CHECKSUM_CHARACTERS + 1);
  if (line[CHECKSUM_CHARACTERS] !== " " || checksum(json) !== line.slice(0, CHECKSUM_CHARACTERS)) return undefined;
  // Its checksum says that we wrote it.
  return JSON.parse(json) as JournalRecord;
}

const CHECKSUM_CHARACTERS = 8;

/** CRC-32 (ISO 3309) of the UTF-16 units' bytes, in hexadecimal. */
function checksum(text: string): string {
  let crc = -1;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    crc = step(crc, unit & 0xff);
    if (unit > 0xff) crc = step(crc, unit >> 8);
  }
  return ((crc ^ -1) >>> 0).toString(16).padStart(CHECKSUM_CHARACTERS, "0");
}

function step(crc: number, octet: number): number {
  return (crc >>> 8) ^ (TABLE[(crc ^ octet) & 0xff] as number); // 256 entries, and an index below that
}

const TABLE: Int32Array = Int32Array.from({ length: 256 }, (_, index) => {
  let entry = index;
  for (let bit = 0; bit < 8; bit++) entry = entry & 1 ? (entry >>> 1) ^ 0xedb88320 : entry >>> 1;
  return entry;
});
