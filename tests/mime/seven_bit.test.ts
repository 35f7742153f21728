import { expect, test } from "bun:test";
import { is7bit, SevenBitScan } from "../../src/mime/seven_bit.ts";
import { bytes, MAIL } from "./mail.ts";

const CARRIER = `--=_${MAIL.id.replaceAll("-", "")}.c`;
const LONGEST = "x".repeat(998);

const GOOD = ["", "a", "a\r\n", "a\r\n\r\nb", LONGEST, `${LONGEST}\r\ny`, `y\r\n${LONGEST}\r\n${LONGEST}`, "\r\n\r\n"];
const BAD = [
  "\0",
  "ü",
  "a\n",
  "a\r",
  "a\rb",
  "\n",
  "a\r\r\n",
  "\r\n\n",
  `x${LONGEST}`,
  `x${LONGEST}\r\n`,
  "a\n\rb",
  "a\x80",
];

/** Whether a text is safe when its octets come in two chunks, cut at each place. */
function resultsOfEveryCut(text: string): ReadonlySet<boolean> {
  const octets = bytes(text);
  return new Set(Array.from({ length: octets.length + 1 }, (_, cut) => {
    const scan = new SevenBitScan();
    scan.push(octets.subarray(0, cut));
    scan.push(octets.subarray(cut));
    return scan.result;
  }));
}

test("is7bit() takes ASCII lines of 998 octets with CRLF, and nothing else", () => {
  for (const good of GOOD) expect([good, is7bit(bytes(good))]).toEqual([good, true]);
  for (const bad of BAD) expect([bad, is7bit(bytes(bad))]).toEqual([bad, false]);
});

test("SevenBitScan finds the same however its input is cut", () => {
  for (const good of [...GOOD, `${CARRIER.slice(0, -1)}\r\n`]) {
    expect([good, resultsOfEveryCut(good)]).toEqual([good, new Set([true])]);
  }
  for (const bad of [...BAD, `a\r\n${CARRIER}_m\r\n`]) {
    expect([bad, resultsOfEveryCut(bad)]).toEqual([bad, new Set([false])]);
  }
});

test("SevenBitScan finds the same octet by octet", () => {
  for (const text of [...GOOD, ...BAD, CARRIER]) {
    const scan = new SevenBitScan();
    for (const octet of bytes(text)) scan.push(Uint8Array.of(octet));
    expect([text, scan.result]).toEqual([text, GOOD.includes(text)]);
  }
});

test("SevenBitScan refuses a line that begins as the boundaries of a mail with a message do, whatever the id", () => {
  for (const line of [CARRIER, CARRIER.toUpperCase().replace(".C", ".c"), `${CARRIER}_m--`, `${CARRIER}.1_a`]) {
    for (const before of ["", "a\r\n", "\r\n\r\n"]) {
      expect([before, line, is7bit(bytes(`${before}${line}\r\n`))]).toEqual([before, line, false]);
    }
  }
  // Other lines are nobody's boundary here: those of a mail without a message, too.
  for (
    const line of [
      CARRIER.replace(".c", "_a"),
      ` ${CARRIER}`,
      `-${CARRIER}`,
      CARRIER.replace("0", "g"),
      CARRIER.slice(0, -1),
    ]
  ) {
    expect([line, is7bit(bytes(`a\r\n${line}\r\n`))]).toEqual([line, true]);
  }
});
