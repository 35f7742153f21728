import type { Mailbox } from "../../src/address.ts";
import { needsUtf8 } from "../../src/mime/address_list.ts";
import type { Mail } from "../../src/mime/compose.ts";
import type { Meaning } from "./meaning.ts";

// A reader of mails that knows no library: octets, lines and fields, as RFC 5322 has them.

const MAX_LINE_OCTETS = 998;

/** One field of a header, unfolded. */
interface Field {
  readonly name: string;
  readonly value: string;
}

/** What is wrong with the octets of a mail, whatever it means; `wire` has one character for each. */
export function wireFaults(wire: string, meaning: Meaning): readonly string[] {
  const faults: string[] = [];
  const lines = wire.split("\r\n");
  if (lines.pop() !== "") faults.push("it does not end with CRLF");
  if (lines.some((line) => line.length > MAX_LINE_OCTETS)) {
    faults.push(`a line has more than ${MAX_LINE_OCTETS} octets`);
  }
  if (lines.some((line) => /[\r\n\0]/.test(line))) faults.push("it has a bare CR or LF, or a NUL");
  const lost = meaning.mail.attachments.filter((file) => !holds(wire, file));
  if (lost.length > 0) faults.push(`the bytes of ${lost.map(({ contentType }) => contentType).join()} are not in it`);
  const end = lines.indexOf("");
  const { mail } = meaning;
  const isUtf8 = [mail.from, ...mail.to, ...mail.cc, ...mail.replyTo, ...senders(mail)].some(({ email }) =>
    needsUtf8(email)
  );
  const sevenBit = isUtf8 ? lines.slice(end) : lines;
  if (sevenBit.some((line) => /[\x80-\xff]/.test(line))) faults.push("it is not 7-bit");
  const fields = fieldsOf(lines.slice(0, end));
  if (fields === undefined) return [...faults, "its header has a line that is none of a field"];

  const found = fields.map(({ name }) => name);
  const wanted = namesOf(meaning, found);
  if (found.join() !== wanted.join()) faults.push(`its header has ${found.join()} instead of ${wanted.join()}`);
  const own = new Set(["subject", ...mail.headers.map(([name]) => name.toLowerCase())]);
  const values = fields.filter(({ name }) => own.has(name.toLowerCase()) && !/^sender$/i.test(name)).map(({ value }) =>
    decoded(value)
  );
  const meant = [mail.subject, ...mail.headers.filter(([name]) => !/^sender$/i.test(name)).map(([, text]) => text)]
    .map((text) => text.toWellFormed());
  meant.forEach((text, index) => {
    if (values[index] !== text) {
      faults.push(`a header reads ${JSON.stringify(values[index])} instead of ${JSON.stringify(text)}`);
    }
  });
  return faults;
}

/** Whether an attachment's bytes stand in a mail, as they are or as base64. */
function holds(wire: string, { content = new Uint8Array(), isSevenBit }: Mail["attachments"][number]): boolean {
  const bytes = Buffer.from(content);
  const lines = bytes.toString("base64").replace(/.{76}(?=.)/g, "$&\r\n");
  return wire.includes(isSevenBit === true ? bytes.toString("latin1") : lines);
}

/** Exactly the fields that may be there, in their order. */
function namesOf({ mail }: Meaning, found: readonly string[]): readonly string[] {
  const isOneClick = /^https:/i.test(mail.unsubscribe ?? "");
  return [
    ...[
      "Date",
      "From",
      ...(mail.replyTo.length === 0 ? [] : ["Reply-To"]),
      "To",
      ...(mail.cc.length === 0 ? [] : ["Cc"]),
    ],
    ...["Subject", "Message-ID", ...mail.headers.map(([name]) => /^sender$/i.test(name) ? "Sender" : name)],
    ...(mail.unsubscribe === undefined ? [] : ["List-Unsubscribe", ...(isOneClick ? ["List-Unsubscribe-Post"] : [])]),
    ...["MIME-Version", "Content-Type"],
    // A multipart has no encoding of its own, and a single attachment says what it is.
    ...found.slice(found.indexOf("Content-Type") + 1).filter((name, index, all) =>
      /^Content-(?:Transfer-Encoding|Disposition|ID)$/.test(name) && all.indexOf(name) === index
    ),
  ];
}

function senders({ headers }: Meaning["mail"]): readonly Pick<Mailbox, "email">[] {
  return headers.filter(([name]) => /^sender$/i.test(name)).map(([, email]) => ({ email }));
}

/** Undefined when a line is neither a field nor the continuation of one. */
function fieldsOf(lines: readonly string[]): readonly Field[] | undefined {
  const unfolded: string[] = [];
  for (const line of lines) {
    if (!/^[ \t]/.test(line)) unfolded.push(line);
    else if (unfolded.length === 0 || line.trim() === "") return undefined;
    else unfolded.push(`${unfolded.pop()}${line}`);
  }
  const parsed = unfolded.map((line) => /^([!-9;-~]+):(?: (.*))?$/s.exec(line));
  if (parsed.includes(null)) return undefined;
  return parsed.map((match) => ({ name: match?.[1] ?? "", value: match?.[2] ?? "" }));
}

/** RFC 2047: blanks between two encoded-words are none. */
function decoded(value: string): string {
  const word = /=\?UTF-8\?([BQ])\?([^ ?]*)\?=/g;
  const joined = value.replace(/(=\?UTF-8\?[BQ]\?[^ ?]*\?=) +(?==\?UTF-8\?)/g, "$1");
  const octets = joined.replace(
    word,
    (_, encoding: string, text: string) =>
      encoding === "B"
        ? Buffer.from(text, "base64").toString("latin1")
        : text.replaceAll("_", " ").replace(/=([\dA-F]{2})/g, (_, hex: string) =>
          String.fromCharCode(parseInt(hex, 16))),
  );
  return Buffer.from(octets, "latin1").toString("utf-8");
}
