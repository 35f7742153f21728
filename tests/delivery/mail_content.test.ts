import { expect, test } from "bun:test";
import { mailContent } from "../../relay/delivery/mail_content.ts";
import { base64Bytes, writeBase64 } from "../../src/mime/base64.ts";
import { compose, type Mail } from "../../src/mime/compose.ts";
import { DotStuffer } from "../../src/mime/dot_stuffer.ts";
import { dotStuff } from "../../src/mime/encoding.ts";
import { inviteOf } from "../../src/mime/invite.ts";
import { corpus } from "../mime/corpus.ts";
import { type Prng, prng } from "../mime/prng.ts";

const MAILS = corpus(2_000, 41);

/** The mail as a relay has it that holds none of its attachments but the invitation. */
function withoutBytes(mail: Mail): Mail {
  const invite = inviteOf(mail.attachments);
  const attachments = mail.attachments.map((attachment, index) => {
    const { content: _, ...facts } = attachment;
    return index === invite?.index ? attachment : facts;
  });
  return { ...mail, attachments };
}

/** Reads an attachment in slices of whole lines, each of another length. */
async function* slices(bytes: Uint8Array, encoding: "7bit" | "base64", random: Prng): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const slice = bytes.subarray(at, at + 57 * (1 + random.int(3)));
    at += slice.length;
    const encoded = new Uint8Array(base64Bytes(slice.length));
    writeBase64(slice, encoded, 0);
    yield encoding === "7bit" ? slice : encoded;
  }
}

test(
  "each of 2,000 nasty mails is the same octets from a stream as from memory, and is as long as announced",
  async () => {
    const random = prng(5);
    let streamed = 0;
    for (const mail of MAILS) {
      const whole = compose(mail);
      const content = mailContent(withoutBytes(mail), ({ index, encoding }) => {
        return slices(mail.attachments[index]?.content ?? new Uint8Array(), encoding, random);
      });
      if (content instanceof Uint8Array) {
        expect(content).toEqual(whole);
        continue;
      }
      streamed++;
      const stuffer = new DotStuffer();
      const [plain, stuffed]: [Uint8Array[], Uint8Array[]] = [[], []];
      for await (const chunk of content.chunks()) {
        plain.push(chunk);
        stuffed.push(stuffer.push(chunk));
      }
      expect(Buffer.concat(plain).equals(whole)).toBeTrue();
      expect(Buffer.concat([...stuffed, stuffer.end()]).equals(dotStuff(whole))).toBeTrue();
      expect(content.sizeBytes).toBe(whole.length);
    }
    expect(streamed).toBeGreaterThan(1_000);
  },
  120_000,
);
