import { expect, test } from "bun:test";
import { compose } from "../../src/mime/compose.ts";
import { thoroughly } from "../thoroughly.ts";
import { corpus } from "./corpus.ts";
import { knownOfPostalMime, knownOfPython } from "./known_differences.ts";
import { composeWithNodemailer, meaning, type Reading, readWithPostalMime, readWithPython } from "./readers.ts";

const COUNT = thoroughly ? 1_200 : 300;
const MAILS = corpus(COUNT, 20_261_121);
const MEANINGS = MAILS.map(meaning);
const OURS = MAILS.map(compose);
const noPython = Bun.which("python3") === null;
const why = noPython ? " (skipped: needs python3)" : "";

test(`postal-mime reads from each of ${COUNT} nasty mails what was meant`, async () => {
  const readings = await Promise.all(OURS.map(readWithPostalMime));
  expect(readings).toEqual(MEANINGS.map(knownOfPostalMime));
}, 60_000);

test.skipIf(noPython)(`Python reads from each of ${COUNT} nasty mails what was meant${why}`, async () => {
  expect((await readWithPython(OURS))?.map(knownOfPython)).toEqual(MEANINGS.map(knownOfPython));
}, 60_000);

test.skipIf(noPython)(`where the readers agree on nodemailer's mail, they agree on ours${why}`, async () => {
  // It sends a multipart as base64, which RFC 2046 section 5.1 forbids and Python does not read.
  const composite = /^(?:message|multipart)\//;
  const mails = MAILS.filter(({ attachments }) => !attachments.some(({ contentType }) => composite.test(contentType)));
  const ours = mails.map(compose);
  const theirs = await Promise.all(mails.map(composeWithNodemailer));
  const [byPython, byPostalMime] = [
    alike(await readWithPython(ours)),
    alike(await Promise.all(ours.map(readWithPostalMime))),
  ];
  const theirsByPython = alike(await readWithPython(theirs));
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
}, 120_000);

/** Where each reader is known to differ from the standards or the other reader, taken out. */
function alike(readings: readonly Reading[] | undefined): readonly Readonly<Record<string, unknown>>[] {
  return (readings ?? []).map((reading) => ({ ...knownOfPython(knownOfPostalMime(reading)) }));
}

function fail(): never {
  throw new Error("the corpus is empty");
}
