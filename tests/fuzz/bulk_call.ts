import type { MailTemplate, ManyRecipient } from "../../mod.ts";
import { type BulkDraft, listed } from "./bulk_draft.ts";
import { type Call, DEFAULT_FROM } from "./call.ts";
import { type Meaning, meaningOf, pairs, rendered } from "./meaning.ts";
import { leadsIntoMail } from "./path.ts";

const IDS = `
select m.id::text from mailchute.message m join mailchute.batch b on b.seq = m.batch where b.id = $1::uuid order by m.id`;

/** Sends a template to a list. */
export function bulkCall(draft: BulkDraft): Call {
  return {
    input: draft,
    isValid: draft.isValid,
    async send(mail, sql) {
      const recipients = listed(draft) as Iterable<ManyRecipient<MailTemplate>>;
      const { batch } = await mail.sendMany({ ...draft.template } as unknown as MailTemplate, recipients);
      return (await sql.unsafe<{ id: string }[]>(IDS, [batch])).map(({ id }) => id);
    },
    leadsIn: (path) => leadsIntoRecipients(path, draft.recipients) || leadsIntoMail(path, draft.template),
    meanings: () => Promise.all(draft.recipients.map((recipient) => meaningFor(draft, recipient))),
  };
}

function leadsIntoRecipients(path: string, recipients: readonly unknown[]): boolean {
  const [, index = "", field = ""] = /^recipients\.(\d+)\.(.*)$/s.exec(path) ?? [];
  if (index === "" || Number(index) >= recipients.length) return false;
  const own = Object.keys(Object(recipients[Number(index)])).map((name) => name.replace(/[\p{C}\s]/gu, "?"));
  return /^(?:to|key|variables(?:\.\w+)?)$/.test(field) || own.includes(field);
}

async function meaningFor({ template }: BulkDraft, recipient: unknown): Promise<Meaning> {
  const { to, variables = {} } = Object(recipient);
  const html = await rendered(template.html);
  const merged = (text: unknown, escape: (value: string) => string = String) =>
    String(text).toWellFormed().replace(
      /\{\{\s*(\w+)\s*\}\}/g,
      (_, name: string) => escape(String(variables[name]).toWellFormed()),
    );
  return await meaningOf({
    ...template,
    to,
    // That of the stream, which is the only one with a priority here.
    priority: template.priority ?? (template.stream === "transactional" ? "normal" : "low"),
    subject: merged(template.subject),
    ...(template.text === undefined ? {} : { text: merged(template.text) }),
    ...(html === undefined ? {} : { html: merged(html, inHtml) }),
    ...(template.headers === undefined
      ? {}
      : { headers: pairs(template.headers).map(([name, text]) => [name, merged(text)]) }),
    ...(template.unsubscribe === undefined ? {} : { unsubscribe: merged(template.unsubscribe, encodeURIComponent) }),
  }, DEFAULT_FROM);
}

function inHtml(value: string): string {
  const escapes: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return Array.from(value, (char) => escapes[char] ?? char).join("");
}
