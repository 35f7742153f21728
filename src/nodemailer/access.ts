import { entriesOf } from "./attachments.ts";
import type { AddFault, Data } from "./composed_mail.ts";

/**
 * Finds content of files and URLs that the app has closed to its messages (`disableFileAccess`, `disableUrlAccess`).
 * nodemailer 10 keeps to these when it reads for a transport like ours; 6 and 7 do not, and would read any file that a
 * message names.
 */
export function checkAccess(data: Data, add: AddFault): void {
  const check = (path: string, value: unknown) => {
    for (const source of [Object(value), Object(Object(value).content)] as readonly Data[]) {
      const name = source.href ? "href" : "path";
      const place = String(source.href || source.path || "data:");
      if (/^data:/i.test(place)) continue;
      const isUrl = name === "href" || /^https?:\/\//i.test(place);
      if (isUrl && data.disableUrlAccess) {
        add(`${path}.${name}`, "the app reads no URLs for mails (disableUrlAccess): give content");
      }
      if (!isUrl && data.disableFileAccess) {
        add(`${path}.${name}`, "the app reads no files for mails (disableFileAccess): give content");
      }
    }
  };
  for (const name of ["text", "html", "icalEvent"]) check(name, data[name]);
  for (const name of ["attachments", "alternatives"]) {
    entriesOf(data[name]).forEach((entry, index) => check(`${name}.${index}`, entry));
  }
}
