import { expect, test } from "bun:test";
import { decodeWords } from "postal-mime";
import { compose } from "../../src/mime/compose.ts";
import { corpus } from "./corpus.ts";
import { composeWithNodemailer, meaning, type Reading, readWithPostalMime, readWithPython } from "./readers.ts";

const MAILS = corpus(1_200, 20_261_121);
const MEANINGS = MAILS.map(meaning);
const OURS = MAILS.map(compose);
const noPython = Bun.which("python3") === null;
const why = noPython ? " (skipped: needs python3)" : "";

test("postal-mime reads from each of 1,200 nasty mails what was meant", async () => {
  const readings = await Promise.all(OURS.map(readWithPostalMime));
  expect(readings).toEqual(MEANINGS.map(knownOfPostalMime));
}, 30_000);

test.skipIf(noPython)(`Python reads from each of 1,200 nasty mails what was meant${why}`, () => {
  expect(readWithPython(OURS)?.map(knownOfPython)).toEqual(MEANINGS.map(knownOfPython));
}, 30_000);

test.skipIf(noPython)(`where the readers agree on nodemailer's mail, they agree on ours${why}`, async () => {
  // It sends a multipart as base64, which RFC 2046 section 5.1 forbids and Python does not read.
  const composite = /^(?:message|multipart)\//;
  const mails = MAILS.filter(({ attachments }) => !attachments.some(({ contentType }) => composite.test(contentType)));
  const ours = mails.map(compose);
  const theirs = await Promise.all(mails.map(composeWithNodemailer));
  const [byPython, byPostalMime] = [
    alike(readWithPython(ours)),
    alike(await Promise.all(ours.map(readWithPostalMime))),
  ];
  const theirsByPython = alike(readWithPython(theirs));
  const theirsByPostalMime = alike(await Promise.all(theirs.map(readWithPostalMime)));
  let agreements = 0;
  theirsByPython.forEach((reading, index) => {
    for (const [field, value] of Object.entries(reading)) {
      if (!Bun.deepEquals(value, theirsByPostalMime[index]?.[field])) continue;
      agreements++;
      expect([index, field, byPostalMime[index]?.[field]]).toEqual([index, field, byPython[index]?.[field]]);
    }
  });
  // Else the readers would have had nothing to say about us.
  expect(agreements).toBeGreaterThan(0.8 * mails.length * Object.keys(meaning(MAILS[0] ?? fail())).length);
}, 60_000);

/** Where each reader is known to differ from the standards or the other reader, taken out. */
function alike(readings: readonly Reading[] | undefined): readonly Readonly<Record<string, unknown>>[] {
  return (readings ?? []).map((reading) => ({ ...knownOfPython(knownOfPostalMime(reading)) }));
}

/**
 * Python 3.11 puts a blank between the encoded-words of one display name (RFC 2047 section 6.2 says to drop it) and takes
 * several blanks in a name for one: names are compared without blanks. Subjects and other headers are not touched by this.
 */
function knownOfPython(reading: Reading): Reading {
  const { from, to, cc, replyTo } = reading;
  const tight = (list: Reading["to"]) => list.map(([name, email]) => [name.replaceAll(" ", ""), email] as const);
  return { ...reading, from: tight(from), to: tight(to), cc: tight(cc), replyTo: tight(replyTo) };
}

/**
 * postal-mime decodes encoded-words in a file name even when RFC 2231 has made them literal, its TextDecoder takes a
 * U+FEFF at the start of a text for a byte order mark, and it does not tell the tree.
 */
function knownOfPostalMime(reading: Reading): Reading {
  const files = reading.files.map(([filename = "", ...rest]) => [decodeWords(filename), ...rest]);
  return {
    ...reading,
    text: reading.text.replace(/^\ufeff/, ""),
    html: reading.html.replace(/^\ufeff/, ""),
    files: files.toSorted(),
    tree: "",
  };
}

function fail(): never {
  throw new Error("the corpus is empty");
}
