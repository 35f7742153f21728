import { type MailAttachment, parseMediaType } from "./attachment.ts";

/** A calendar that mail programs offer to accept or decline. */
export interface Invite {
  /** Which of the mail's attachments. */
  readonly index: number;
  /** RFC 5546 section 1.4, such as `REQUEST`. */
  readonly method: string;
  readonly text: string;
}

/** Ours: an invitation is small, and a whole calendar is a file. */
const MAX_INVITE_BYTES = 256_000;
/** RFC 5545 section 3.7.2; no longer, so that its line keeps to 78. */
const METHOD = /^[A-Za-z-]{1,20}$/;

/**
 * Tells whether an attachment's content is needed to write the mail around it: that of an invitation is.
 *
 * @example
 * ```ts
 * const invite = { contentType: "text/calendar; method=REQUEST", sizeBytes: 900 };
 * if (!needsContent(invite) || needsContent({ ...invite, contentType: "text/calendar" })) throw new Error("unexpected");
 * ```
 */
export function needsContent(attachment: Pick<MailAttachment, "contentType" | "contentId" | "sizeBytes">): boolean {
  return methodOf(attachment) !== undefined;
}

/**
 * Finds the invitation among attachments: the first `text/calendar` with a method. Gmail, Outlook and Apple show an
 * invitation that is an alternative of the text (RFC 6047 section 2.4); as a file it is there for all others.
 *
 * @returns undefined when there is none, or its content is not there or no UTF-8: then it is a file only
 */
export function inviteOf(attachments: readonly MailAttachment[]): Invite | undefined {
  const index = attachments.findIndex(needsContent);
  const attachment = attachments[index];
  const method = attachment && methodOf(attachment);
  if (method === undefined || attachment?.content === undefined) return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(attachment.content);
    return { index, method, text };
  } catch {
    return undefined;
  }
}

/** The same attachment as a file, under a type that makes nobody show it a second time. */
export function asFile(attachment: MailAttachment): MailAttachment {
  return { ...attachment, contentType: "application/ics", filename: attachment.filename || "invite.ics" };
}

/** The method of what can be an invitation. */
function methodOf(
  { contentType, contentId, sizeBytes }: Pick<MailAttachment, "contentType" | "contentId" | "sizeBytes">,
): string | undefined {
  const media = parseMediaType(contentType);
  if (media?.type !== "text/calendar" || contentId !== undefined || sizeBytes > MAX_INVITE_BYTES) return undefined;
  const value = (name: string) => media.parameters.find(([known]) => known.toLowerCase() === name)?.[1];
  const method = value("method") ?? "";
  if (!METHOD.test(method) || !/^(?:utf-?8|us-ascii)$/i.test(value("charset") ?? "utf-8")) return undefined;
  return method.toUpperCase();
}
