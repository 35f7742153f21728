import { type DeliveryReport, readReport } from "./delivery_report.ts";
import { mailParser } from "./mail_parser.ts";

/** Reports have their parts beside each other; what came back with them is not taken apart. */
const NESTING = { maxNestingDepth: 16, forceRfc822Attachments: true } as const;

const PARTS = {
  status: /^message\/(global-)?delivery-status$/,
  feedback: /^message\/feedback-report$/,
  disposition: /^message\/(global-)?disposition-notification$/,
  returned: /^(message\/(rfc822|global|global-headers)|text\/rfc822-headers)$/,
} as const;

/**
 * Reads a report that came as a mail (RFC 6522).
 *
 * @param content a whole mail; one that was cut short is read as far as it goes
 * @returns undefined: it is no report, but a mail of a person, or of a machine that is on holiday
 * @throws {MissingReader}
 */
export async function readReportMail(content: Uint8Array): Promise<DeliveryReport | undefined> {
  const { default: PostalMime } = await mailParser("read a report");
  const { attachments, text } = await PostalMime.parse(content, NESTING).catch(() => ({ attachments: [], text: "" }));
  const find = (type: RegExp): string | undefined => {
    const part = attachments.find(({ mimeType }) => type.test(mimeType.toLowerCase()));
    if (part === undefined) return undefined;
    return typeof part.content === "string" ? part.content : new TextDecoder().decode(part.content);
  };
  const said = { status: find(PARTS.status), feedback: find(PARTS.feedback), disposition: find(PARTS.disposition) };
  return Object.values(said).every((part) => part === undefined)
    ? undefined
    : readReport({ ...said, notice: text, returned: find(PARTS.returned) });
}
