import nodemailer, { type SendMailOptions } from "nodemailer";
import PostalMime, { type Address, decodeWords } from "postal-mime";
import { createMailer } from "../../mod.ts";
import { mailchuteTransport, type QueueFields } from "../../src/nodemailer/transport.ts";
import { createDatabase } from "../database.ts";
import { openTestRelay } from "../relay.ts";
import { type AcceptedMail, startScriptedServer } from "../scripted_server.ts";

/** A message as apps write it for nodemailer, with our field. */
export type AppMessage = SendMailOptions & { readonly mailchute?: QueueFields };

/** What a reader finds in a delivered mail, and its envelope. */
export type Arrived = Readonly<Record<string, unknown>>;

/** The fields that differ for good reasons: ours come from the mail's id and time, and MIME is each writer's own. */
const OWN: ReadonlySet<string> = new Set([
  ...["date", "message-id", "mime-version", "content-type", "content-transfer-encoding", "content-disposition"],
  ...["from", "to", "cc", "reply-to", "sender", "subject"],
]);

/**
 * Sends the same messages through nodemailer's own SMTP transport, and through the queue and a relay; returns what
 * arrived, by name.
 *
 * @param library a version of nodemailer
 */
export async function sendBothWays(
  messages: Readonly<Record<string, () => AppMessage>>,
  library: Pick<typeof nodemailer, "createTransport"> = nodemailer,
): Promise<Readonly<Record<string, { readonly smtp: Arrived; readonly queue: Arrived }>>> {
  await using direct = await startScriptedServer();
  await using behind = await startScriptedServer();
  await using database = await createDatabase();
  const smtp = library.createTransport({ host: "127.0.0.1", port: direct.port, secure: false, ignoreTLS: true });
  const queue = library.createTransport(mailchuteTransport(createMailer(database.sql)));
  const ids: (readonly [name: string, smtpId: string, queueId: string])[] = [];
  for (const [name, message] of Object.entries(messages)) {
    const [one, other] = [await smtp.sendMail(message()), await queue.sendMail(message())];
    ids.push([name, one.messageId, other.messageId]);
  }
  smtp.close();
  await using running = await openTestRelay(database, { smtpPort: behind.port });
  await running.relay.runOnce();
  const pairs = ids.map(async ([name, smtpId, queueId]) => {
    return [name, {
      smtp: await read(find(direct.mails, smtpId)),
      queue: await read(find(behind.mails, queueId)),
    }] as const;
  });
  return Object.fromEntries(await Promise.all(pairs));
}

function find(mails: readonly AcceptedMail[], messageId: string): AcceptedMail {
  const mail = mails.find(({ content }) => /^message-id: (.*)\r\n/im.exec(content)?.[1] === messageId);
  if (mail === undefined) throw new Error(`No mail ${messageId} arrived`);
  return mail;
}

async function read({ content, reversePath, recipients }: AcceptedMail): Promise<Arrived> {
  const mail = await PostalMime.parse(content);
  return {
    reversePath,
    recipients: [...recipients].sort(),
    from: mail.from && names([mail.from]),
    sender: mail.sender && names([mail.sender]),
    to: names(mail.to),
    cc: names(mail.cc),
    replyTo: names(mail.replyTo),
    subject: mail.subject ?? "",
    // A mail without a body: nodemailer's part is empty, ours has a line end.
    text: mail.text?.trimEnd() || undefined,
    html: mail.html?.trimEnd(),
    headers: mail.headers.filter(({ key }) => !OWN.has(key)).map((
      { key, value },
      // Blanks inside the brackets of a comment say nothing (RFC 5322 section 3.2.2).
    ) => [key, decodeWords(value.replace(/\s+/g, " ")).replaceAll(/(?<=\() | (?=\))/g, "")])
      .sort(),
    attachments: mail.attachments.map(({ filename, mimeType, disposition, contentId, content }) => [
      ...[filename, mimeType, disposition, contentId],
      Buffer.from(content as ArrayBuffer).toString("base64"),
    ]),
  };
}

function names(list: readonly Address[] = []): readonly string[] {
  return list.map(({ name, address }) => `${name} <${address}>`);
}
