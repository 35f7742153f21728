import { expect, test } from "bun:test";
import { DotStuffer } from "../../src/mime/dot_stuffer.ts";
import { dotStuff } from "../../src/mime/encoding.ts";
import { bytes, text } from "./mail.ts";

const MAILS = [
  ".a\r\n.\r\n..\r\n\r\n.\r\nb.\r\n.c\r\n.\r\n",
  "a\n.\nb\n..\r\n.\r",
  "no dot and no end",
  "\r\n.",
  ".",
  "\r",
  "\n",
  "",
];

function stuffed(chunks: readonly Uint8Array[]): string {
  const stuffer = new DotStuffer();
  return text(Buffer.concat([...chunks.map((chunk) => stuffer.push(chunk)), stuffer.end()]));
}

test("DotStuffer makes what dotStuff() makes, at every two cuts", () => {
  for (const mail of MAILS) {
    const octets = bytes(mail);
    for (let first = 0; first <= octets.length; first++) {
      for (let second = first; second <= octets.length; second++) {
        const chunks = [octets.subarray(0, first), octets.subarray(first, second), octets.subarray(second)];
        expect([mail, first, second, stuffed(chunks)]).toEqual([mail, first, second, text(dotStuff(octets))]);
      }
    }
  }
});

test("DotStuffer makes what dotStuff() makes octet by octet", () => {
  for (const mail of MAILS) {
    const chunks = Array.from(bytes(mail), (octet) => Uint8Array.of(octet));
    expect([mail, stuffed(chunks)]).toEqual([mail, text(dotStuff(bytes(mail)))]);
  }
});

test("DotStuffer copies nothing when there is no dot to double", () => {
  const stuffer = new DotStuffer();
  const chunk = bytes("a.b\r\n");
  expect(stuffer.push(chunk)).toBe(chunk);
  expect(stuffer.end()).toHaveLength(0);
});
