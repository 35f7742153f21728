/** RFC 5322 section 2.1.1. */
const MAX_LINE_BYTES = 998;
const CR = 13;
const LF = 10;

/** Follows the id in the boundaries of a mail that carries a message as it is; see {@linkcode SevenBitScan}. */
export const CARRIER_MARK = ".c";
/** How a delimiter line of such a mail begins: `--=_`, the 32 hexadecimal digits of its id, the mark. */
const HEAD = new TextEncoder().encode("--=_");
const MARK = new TextEncoder().encode(CARRIER_MARK);
const ID_DIGITS = 32;
const DELIMITER_BYTES = HEAD.length + ID_DIGITS + MARK.length;

/**
 * Finds out, chunk by chunk, whether an attached message may travel as it is, in 7bit (RFC 2045 section 2.7): ASCII,
 * CRLF only, no NUL, no line over 998 octets, and no line that could end the part that carries it.
 *
 * That last one is why a mail that carries a message needs no look into it when its boundaries are chosen, and so none
 * of its bytes in memory. All its boundaries begin with `=_`, its id and a mark that is in no other mail's; a message
 * with such a line, whatever its id, travels as a file in base64, which has no `=_`. So nobody who knows a mail's id in
 * advance can write a message that breaks out of its part, and all that it costs is that a carrier inside a carrier is
 * a file to open.
 *
 * @example
 * ```ts
 * const scan = new SevenBitScan();
 * for (const chunk of ["Subject: Hi\r", "\n\r\nHello\r\n"]) scan.push(new TextEncoder().encode(chunk));
 * if (!scan.result) throw new Error("unexpected");
 * ```
 */
export class SevenBitScan {
  #safe = true;
  /** How many octets the line under way has, its CR not counted. */
  #column = 0;
  /** How many octets of the line under way are those of a carrier's delimiter. */
  #matched = 0;
  #afterCr = false;

  /** Takes the next octets. */
  push(chunk: Uint8Array): void {
    if (!this.#safe) return;
    let [column, matched, afterCr] = [this.#column, this.#matched, this.#afterCr];
    for (const octet of chunk) {
      if (octet === 0 || octet > 127 || afterCr !== (octet === LF)) return this.#refuse();
      if (octet === CR) {
        afterCr = true;
      } else if (octet === LF) {
        afterCr = false;
        column = 0;
        matched = 0;
      } else {
        if (matched === column && isDelimiterOctet(octet, column)) matched++;
        column++;
        if (column > MAX_LINE_BYTES || matched === DELIMITER_BYTES) return this.#refuse();
      }
    }
    [this.#column, this.#matched, this.#afterCr] = [column, matched, afterCr];
  }

  /** Whether all that was pushed, as a whole, may travel as it is. */
  get result(): boolean {
    return this.#safe && !this.#afterCr;
  }

  #refuse(): void {
    this.#safe = false;
  }
}

/**
 * Tells whether a message that is in memory may travel as it is.
 *
 * @example
 * ```ts
 * if (is7bit(new TextEncoder().encode("a\nb"))) throw new Error("unexpected");
 * ```
 */
export function is7bit(bytes: Uint8Array): boolean {
  const scan = new SevenBitScan();
  scan.push(bytes);
  return scan.result;
}

function isDelimiterOctet(octet: number, column: number): boolean {
  if (column < HEAD.length) return octet === HEAD[column];
  const digit = column - HEAD.length;
  if (digit >= ID_DIGITS) return octet === MARK[digit - ID_DIGITS];
  // 0-9, and a-f in either case.
  return (octet >= 48 && octet <= 57) || ((octet | 32) >= 97 && (octet | 32) <= 102);
}
