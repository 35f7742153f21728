import { MailchuteError } from "../error.ts";
import { refuse } from "../finding.ts";
import { SEND } from "../message.ts";
import { isQueueField } from "./queue_fields.ts";

/**
 * Names the fields of an error of the client as the app wrote them for nodemailer.
 *
 * @param attachmentPaths where the app gave each of the attachments
 */
export function refusalOf(error: unknown, attachmentPaths: readonly string[]): unknown {
  if (!(error instanceof MailchuteError) || error.issues.length === 0) return error;
  const issues = error.issues.map(({ path, message }) => ({ path: pathOf(path, attachmentPaths), message }));
  const isLimit = error.code === "too_large";
  if (isLimit || (error.code === "validation_error" && error.cause === undefined)) {
    try {
      refuse(SEND, issues.map((issue) => ({ ...issue, limit: isLimit })));
    } catch (renamed) {
      return renamed;
    }
  }
  return new MailchuteError(error.code, error.message, { issues, cause: error.cause });
}

function pathOf(path: string, attachmentPaths: readonly string[]): string {
  const [first = "", second, ...rest] = path.split(".");
  if (isQueueField(first)) return `mailchute.${path}`;
  if (path === "returnPath") return "envelope.from";
  if (path === "headers.Sender") return "sender";
  const given = first === "attachments" && second !== undefined ? attachmentPaths[Number(second)] : undefined;
  if (given === undefined) return path;
  return [given, ...rest.map((name) => name === "contentId" ? "cid" : name)].join(".");
}
