import type { Envelope } from "../../src/envelope.ts";
import { attachmentOf } from "../../src/mime/attachment.ts";
import type { Mail } from "../../src/mime/compose.ts";
import { bytes, MAIL } from "./mail.ts";
import { SMUGGLED, VICTIM } from "./wild_corpus.ts";

/** What has broken other mailers: a mail that tries to be more than one, or to go to more than it says. */
export interface Attack {
  /** The advisory, or what it does. */
  readonly name: string;
  /** Whether it must be refused, or comes as a text like any other. */
  readonly becomes: "refused" | "harmless";
  readonly mail: Partial<Mail>;
  readonly envelope?: Partial<Pick<Envelope, "id" | "reversePath">> & { readonly recipient?: string };
}

const CRLF = `x\r\nBcc: ${VICTIM}`;
const BOUNDARY = `=_${MAIL.id.replaceAll("-", "")}`;

export const ATTACKS: readonly Attack[] = [
  refused("GHSA-268h-hp4c-crq3: a line break in List-Unsubscribe", {
    unsubscribe: `https://x.example/\r\nBcc: ${VICTIM}`,
  }),
  refused("GHSA-vvjj: a line break in the subject", { subject: CRLF }),
  refused("a bare LF in the subject", { subject: `x\nBcc: ${VICTIM}` }),
  refused("a bare CR in the subject", { subject: `x\rBcc: ${VICTIM}` }),
  refused("a NUL in the subject", { subject: "x\0y" }),
  refused("the end of a mail in the subject", { subject: `x\n.\n${SMUGGLED}` }),
  refused("a line break in a name", { to: [{ email: "a@b.example", name: CRLF }] }),
  refused("mimetext PR 7: a line break in a header's value", { headers: [["X-A", CRLF]] }),
  refused("a line break in a header's name", { headers: [[`X-A: x\r\nBcc`, VICTIM]] }),
  refused("a colon in a header's name", { headers: [["Bcc: a@b", "x"]] }),
  refused("Bcc as a header of the caller", { headers: [["bcc", VICTIM]] }),
  refused("a second From", { headers: [["FROM", "bank@x.example"]] }),
  refused("a second Content-Type", { headers: [["Content-Type", "text/html"]] }),
  refused("a second Sender", { headers: [["Sender", "a@b.example"], ["sender", "c@d.example"]] }),
  refused("CVE-2026-30227: a line break in a quoted local part", {
    to: [{ email: `"a\r\nRCPT TO:<${VICTIM}>"@y.example` }],
  }),
  refused("CVE-2025-13033: an address inside a quoted local part", { to: [{ email: '"x@gmail.com y"@corp.example' }] }),
  refused("a list in one address", { to: [{ email: `a@b.example, ${VICTIM}` }] }),
  refused("CVE-2025-14874: nested groups", { to: [{ email: "g:".repeat(5_000) + "a@b.example" }] }),
  refused("a comment that hides a mailbox", { to: [{ email: `(a@b.example) ${VICTIM} (x)` }] }),
  refused("a line break in a file name", { attachments: [file({ filename: `a"\r\nBcc: ${VICTIM}` })] }),
  refused("a tab in a file name", { attachments: [file({ filename: "a\tb" })] }),
  refused("a DEL in a file name", { attachments: [file({ filename: "a\x7fb" })] }),
  refused("a line break in a type", { attachments: [file({ contentType: `text/plain\r\nBcc: ${VICTIM}` })] }),
  refused("a line break in a Content-ID", { attachments: [file({ contentId: `a@b>\r\nBcc: ${VICTIM}` })] }),
  refused("an id that is none", { id: `x\r\nBcc: ${VICTIM}` }),
  atEnvelope("F5: a command in a recipient", { recipient: `b@x.example>\r\nRCPT TO:<${VICTIM}` }),
  atEnvelope("GHSA-v3q9-hj7j-63hq: a NUL in a recipient", { recipient: "b\0@x.example" }),
  atEnvelope("a command in the return path", { reversePath: `a@x.example>\r\nRCPT TO:<${VICTIM}` }),
  atEnvelope("a parameter in the return path", { reversePath: "a@x.example> SIZE=1" }),
  atEnvelope("F5: a command in the envelope's id (ENVID)", { id: `x\r\nRCPT TO:<${VICTIM}>\r\n` }),
  harmless("F4: a name that closes its quotes", { from: { email: "a@b.example", name: 'A" <bank@x.example>, "x' } }),
  harmless("an encoded-word with a line break in it", { subject: `=?utf-8?q?x=0D=0ABcc:_${VICTIM}?=` }),
  harmless("a name that looks like an address", { from: { email: "a@b.example", name: "bank@x.example" } }),
  harmless("a subject of 1,200 ASCII characters", { subject: "x".repeat(1_200) }),
  harmless("a literal encoded-word", { subject: "=?utf-8?Q?x?=" }),
  harmless("blanks in front", { subject: "  x" }),
  harmless("an unpaired surrogate", { subject: "\ud800x", text: "\udfff" }),
  harmless("10.0.12: a dot between bare CR", { text: `x\r.\r${SMUGGLED}` }),
  ...["\n.\n", "\n.\r\n", "\r\n.\n", "\r\n.\r\n", "\r\n\0.\r\n", "\r\n.\0\r\n"].map((end) =>
    harmless(`CVE-2023-51764: ${JSON.stringify(end)} in the text`, { text: `x${end}${SMUGGLED}` })
  ),
  harmless("the end of a mail in an attachment", { attachments: [file({ content: bytes(`x\r\n.\r\n${SMUGGLED}`) })] }),
  harmless("the mail's own boundary in its text", {
    html: "<p>x",
    text: `--${BOUNDARY}_a--\r\nContent-Type: x/y\r\n\r\nz`,
  }),
  harmless("a boundary of the caller's own", { attachments: [file({ contentType: "multipart/mixed; boundary=x" })] }),
  harmless("a file name with a path", { attachments: [file({ filename: "../../etc/passwd" })] }),
  harmless("a header that is all From lines", { text: "From a\nFrom b\n>From c\n" }),
];

function refused(name: string, mail: Partial<Mail>): Attack {
  return { name, becomes: "refused", mail };
}

function harmless(name: string, mail: Partial<Mail>): Attack {
  return { name, becomes: "harmless", mail };
}

function atEnvelope(name: string, envelope: NonNullable<Attack["envelope"]>): Attack {
  return { name, becomes: "refused", mail: {}, envelope };
}

function file(fields: Partial<Parameters<typeof attachmentOf>[0]>): ReturnType<typeof attachmentOf> {
  return attachmentOf({ filename: "a.txt", contentType: "text/plain", content: bytes("x"), ...fields });
}
