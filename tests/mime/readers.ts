import MailComposer from "nodemailer/lib/mail-composer";
import PostalMime, { decodeWords } from "postal-mime";
import { domainOf, type Mailbox } from "../../src/address.ts";
import { isMessage } from "../../src/mime/attachment.ts";
import type { Mail } from "../../src/mime/compose.ts";
import { htmlToText } from "../../src/mime/html_to_text.ts";
import { inviteOf } from "../../src/mime/invite.ts";
import { valueSent } from "./for_programs.ts";

/** The headers that fields of a mail and servers write, and the note. */
const WRITTEN: ReadonlySet<string> = new Set([
  ...["date", "from", "to", "cc", "reply-to", "subject", "message-id", "mime-version", "x-note"],
  ...["content-type", "content-transfer-encoding", "content-disposition"],
  ...["return-path", "x-original-to", "delivered-to", "received"],
]);

type Names = readonly (readonly [name: string, email: string])[];

/** What a reader finds in a mail; each field is compared on its own. */
export interface Reading {
  readonly subject: string;
  readonly note: string;
  readonly from: Names;
  readonly to: Names;
  readonly cc: Names;
  readonly replyTo: Names;
  readonly dateMs: number;
  readonly messageId: string;
  readonly text: string;
  readonly html: string;
  /** Those that the mail's other fields do not write, but the note: name in lower case, value. */
  readonly headers: Names;
  /** The invitation beside them. */
  readonly calendar: string;
  /** The MIME tree, such as `mixed(plain pdf)`; only Python tells. */
  readonly tree: string;
  /** Filename, type, disposition, Content-ID, SHA-1 of the content. */
  readonly files: readonly (readonly string[])[];
}

/** What the sender meant. */
export function meaning(mail: Mail): Reading {
  const invite = inviteOf(mail.attachments);
  return {
    subject: mail.subject.toWellFormed(),
    note: (mail.headers[0]?.[1] ?? "").toWellFormed(),
    from: names([mail.from]),
    to: names(mail.to),
    cc: names(mail.cc),
    replyTo: names(mail.replyTo),
    dateMs: Math.floor(mail.date.getTime() / 1_000) * 1_000,
    messageId: `<${mail.id}@${domainOf(mail.from.email)}>`,
    headers: otherHeaders(mail),
    text: body(mail.text ?? htmlToText(mail.html ?? "")),
    html: body(mail.html),
    calendar: body(invite?.text),
    tree: tree(mail),
    files: mail.attachments.map((file, index) => [
      // Marks that turn the order of what is shown are left out.
      `${file.filename.toWellFormed().replace(/[\u202a-\u202e\u2066-\u2069]/g, "")}${
        isMessage(file.contentType) ? ".eml" : ""
      }`,
      index === invite?.index ? "application/ics" : typeOf(file),
      file.contentId !== undefined && mail.html !== undefined ? "inline" : "attachment",
      file.contentId === undefined ? "" : `<${file.contentId}>`,
      sha1(file.isSevenBit ? unixLines(file.content) : file.content ?? new Uint8Array()),
    ]).toSorted(),
  };
}

export async function readWithPostalMime(wire: Uint8Array): Promise<Reading> {
  const email = await PostalMime.parse(wire, { forceRfc822Attachments: true });
  // It lists an alternative that is neither text nor HTML among the files.
  const isCalendar = (file: (typeof email.attachments)[number]) =>
    file.mimeType === "text/calendar" && !file.disposition;
  const calendar = email.attachments.find(isCalendar)?.content;
  const list = (mailboxes: typeof email.to = []) => mailboxes.map(({ name, address = "" }) => [name, address] as const);
  return {
    subject: email.subject ?? "",
    note: decodeWords(email.headers.find((header) => header.key === "x-note")?.value ?? ""),
    from: list(email.from === undefined ? [] : [email.from]),
    // It shows the group "undisclosed-recipients:;" as one entry without an address.
    to: list(email.to?.filter((entry) => entry.address !== undefined)),
    cc: list(email.cc),
    replyTo: list(email.replyTo),
    dateMs: new Date(email.date ?? "").getTime(),
    messageId: email.messageId ?? "",
    headers: email.headers.filter(({ key }) => !WRITTEN.has(key)).map(({ key, value }) => [key, decodeWords(value)]),
    text: body(email.text),
    html: body(email.html),
    calendar: body(typeof calendar === "string" ? calendar : new TextDecoder().decode(calendar)),
    tree: "",
    files: email.attachments.filter((file) => !isCalendar(file)).map((file) => {
      const bytes = typeof file.content === "string"
        ? new TextEncoder().encode(file.content)
        : new Uint8Array(file.content);
      return [
        file.filename ?? "",
        file.mimeType,
        file.disposition ?? "",
        file.contentId ?? "",
        sha1(file.mimeType === "message/rfc822" ? unixLines(bytes) : bytes),
      ];
    }).toSorted(),
  };
}

/** A process for many: starting Python costs more than reading a mail. Undefined when there is no python3. */
export async function readWithPython(
  wires: readonly Uint8Array[],
  processes = 1,
): Promise<readonly Reading[] | undefined> {
  if (Bun.which("python3") === null) return undefined;
  const share = Math.ceil(wires.length / processes);
  const shares = Array.from({ length: processes }, (_, index) => wires.slice(index * share, (index + 1) * share));
  return (await Promise.all(shares.map(readShare))).flat();
}

async function readShare(wires: readonly Uint8Array[]): Promise<readonly Reading[]> {
  const input = new TextEncoder().encode(wires.map((wire) => `${wire.toBase64()}\n`).join(""));
  const script = new URL("read_mails.py", import.meta.url).pathname;
  const python = Bun.spawn(["python3", script], { stdin: input, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([new Response(python.stdout).text(), new Response(python.stderr).text()]);
  if (await python.exited !== 0) throw new Error(`Cannot read the mails with Python: ${stderr}`);
  return stdout.trimEnd().split("\n").map((line) => {
    const found: Reading = JSON.parse(line);
    return {
      ...found,
      text: body(found.text),
      html: body(found.html),
      calendar: body(found.calendar),
      files: found.files.toSorted(),
    };
  });
}

/** The same mail as nodemailer writes it: the yardstick. */
export function composeWithNodemailer(mail: Mail): Promise<Uint8Array> {
  const address = ({ name = "", email }: Mailbox) => ({ name, address: email });
  return new MailComposer({
    messageId: `<${mail.id}@${mail.from.email.split("@").at(-1)}>`,
    date: mail.date,
    from: address(mail.from),
    to: mail.to.map(address),
    cc: mail.cc.map(address),
    replyTo: mail.replyTo.map(address),
    subject: mail.subject,
    text: mail.text,
    html: mail.html,
    headers: mail.headers.map(([key, value]) => ({ key, value })),
    attachments: mail.attachments.map(({ filename, contentType, contentId, content }) => ({
      filename,
      contentType,
      cid: contentId,
      content: Buffer.from(content ?? []),
    })),
  }).compile().build();
}

/** What the tree should be, by the rules of docs/mime.md. */
function tree(mail: Mail): string {
  const join = (name: string, parts: readonly string[]) =>
    parts.length === 1 ? parts[0] ?? "" : `${name}(${parts.join(" ")})`;
  const isInline = (file: Mail["attachments"][number]) => file.contentId !== undefined && mail.html !== undefined;
  const invite = inviteOf(mail.attachments);
  const types = mail.attachments.map((file, index) => ({
    file,
    type: (index === invite?.index ? "application/ics" : typeOf(file)).split("/")[1] ?? "",
  }));
  const text = mail.text ?? htmlToText(mail.html ?? "");
  const inline = types.filter(({ file }) => isInline(file)).map(({ type }) => type);
  const files = types.filter(({ file }) => !isInline(file)).map(({ type }) => type);
  const isBare = mail.text === undefined && mail.html === undefined && mail.attachments.length > 0;
  const alternatives = [
    ...((mail.html !== undefined && text === "") || isBare ? [] : ["plain"]),
    ...(mail.html === undefined ? [] : [join("related", ["html", ...inline])]),
    ...(invite === undefined ? [] : ["calendar"]),
  ];
  const readable = alternatives.length === 0 ? [] : [join("alternative", alternatives)];
  return files.length === 0 ? join("mixed", readable) : `mixed(${[...readable, ...files].join(" ")})`;
}

/** The type that an attachment travels under, unless it is an invitation. */
function typeOf({ contentType, isSevenBit }: Mail["attachments"][number]): string {
  if (isMessage(contentType) && isSevenBit) return "message/rfc822";
  const [type = ""] = contentType.toLowerCase().split(";");
  return /^(?:message|multipart)\//.test(type) ? "application/octet-stream" : type;
}

/** Readers hand messages out with line ends of their own. */
function unixLines(content: Uint8Array = new Uint8Array()): Uint8Array {
  return new TextEncoder().encode(body(new TextDecoder().decode(content)));
}

function otherHeaders({ headers, unsubscribe }: Mail): Names {
  const own = headers.slice(1).map(([name, value]) =>
    [name.toLowerCase(), valueSent(name, value.toWellFormed())] as const
  );
  if (unsubscribe === undefined) return own;
  const oneClick = unsubscribe.startsWith("https:")
    ? [["list-unsubscribe-post", "List-Unsubscribe=One-Click"] as const]
    : [];
  return [...own, ["list-unsubscribe", `<${unsubscribe}>`], ...oneClick];
}

function names(mailboxes: readonly Mailbox[]): Names {
  return mailboxes.map(({ name = "", email }) => [name, email]);
}

/**
 * Line ends as LF and none at the end: whether the last one belongs to the text or the delimiter, readers see
 * differently.
 */
function body(text = ""): string {
  return text.replaceAll("\0", "").toWellFormed().replace(/\r\n?/g, "\n").replace(/\n+$/, "");
}

function sha1(content: Uint8Array): string {
  return new Bun.CryptoHasher("sha1").update(content).digest("hex");
}
