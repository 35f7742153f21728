import MailComposer from "nodemailer/lib/mail-composer";
import { attachmentOf, compose as write, type Mail } from "../src/mime/compose.ts";
import type { Benchmark, ByEffort, Table } from "./benchmark.ts";
import { FROM, HTML, noise, SUBJECT, TEXT } from "./mail.ts";
import { measure, millisecondsOf } from "./measure.ts";

const ATTACHMENT_BYTES = 100_000;

interface Kind {
  readonly name: string;
  readonly mail: Mail;
  /** How many to write in a round, so that each kind takes about as long. */
  readonly share: number;
}

const SIZES: ByEffort<{ readonly mails: number; readonly rounds: number }> = {
  full: { mails: 6_000, rounds: 15 },
  quick: { mails: 600, rounds: 5 },
  tiny: { mails: 20, rounds: 1 },
};

/** Writing mails in wire format. */
export const compose: Benchmark = {
  name: "compose",
  async run(_lab, effort) {
    const { mails, rounds } = SIZES[effort];
    const tables: Table[] = [];
    for (const kind of kinds()) {
      const count = Math.ceil(mails * kind.share);
      const ours = write(kind.mail).length;
      const theirs = (await byNodemailer(kind.mail)).length;
      const nodemailer = `nodemailer's MailComposer (${theirs} bytes)`;
      tables.push({
        unit: `µs/mail, ${kind.name}`,
        rows: await measure([
          {
            name: `mailchute (${ours} bytes)`,
            against: [nodemailer],
            sample: () =>
              microseconds(count, () => {
                write(kind.mail);
              }),
          },
          { name: nodemailer, sample: () => microseconds(count, () => byNodemailer(kind.mail)) },
        ], { rounds, warmUps: 2, better: "less" }),
      });
    }
    return {
      title: "Compose",
      method:
        "From fields to the bytes of a mail, in this process, on one core. Date and Message-ID are given to both. nodemailer's way is " +
        `\`new MailComposer(mail).compile().build()\`. ${rounds} rounds in turn, ${mails} text mails a round, fewer of the larger ones.`,
      tables,
    };
  },
};

async function microseconds(count: number, work: () => void | Promise<unknown>): Promise<number> {
  const elapsedMs = await millisecondsOf(async () => {
    for (let number = 0; number < count; number++) {
      const made = work();
      // Ours is synchronous and is not made to wait for a promise.
      if (made !== undefined) await made;
    }
  });
  return elapsedMs * 1_000 / count;
}

function byNodemailer(mail: Mail): Promise<Uint8Array> {
  const [to] = mail.to;
  const built = new MailComposer({
    messageId: `<${mail.id}@example.com>`,
    date: mail.date,
    from: { name: FROM.name, address: FROM.email },
    to: { name: to?.name ?? "", address: to?.email ?? "" },
    subject: mail.subject,
    text: mail.text,
    html: mail.html,
    attachments: mail.attachments.map(({ filename, contentType, content }) => ({
      filename,
      contentType,
      content: content && Buffer.from(content.buffer, content.byteOffset, content.byteLength),
    })),
  });
  return built.compile().build();
}

function kinds(): readonly Kind[] {
  const text: Mail = {
    id: "0190d5a0-0000-7000-8000-000000000000",
    date: new Date(Date.UTC(2026, 0, 1)),
    from: FROM,
    to: [{ name: "Ann Reader", email: "ann@example.com" }],
    cc: [],
    replyTo: [],
    subject: SUBJECT,
    text: TEXT,
    headers: [],
    attachments: [],
  };
  const content = noise(ATTACHMENT_BYTES);
  const attachment = attachmentOf({ filename: "invoice.pdf", contentType: "application/pdf", content });
  return [
    { name: "text", mail: text, share: 1 },
    { name: "text and HTML (4 kB, not all ASCII)", mail: { ...text, html: HTML }, share: 0.2 },
    { name: "text and an attachment of 100 kB", mail: { ...text, attachments: [attachment] }, share: 0.1 },
  ];
}
