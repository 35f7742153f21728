import type { AddFault, Data } from "./composed_mail.ts";

/** Fields that ask for what no mail of the queue can carry. Dropped, they would change what the app meant; so they say what to do instead. */
const REFUSED: Readonly<Record<string, string>> = {
  raw: "a finished mail cannot be queued: give subject, text, html and attachments, of which the relay writes it",
  dkim: "the relay's SMTP server is where mails are signed: leave it out",
  amp: "the relay writes no AMP part: leave it out, readers get the html",
  watchHtml: "the relay writes no part for watches: leave it out, readers get the html",
  messageId: "it comes from the mail's id, so that all copies have the same: leave it out, and read it from the result",
  date: "it is the time of sending: leave it out, or give mailchute: { scheduledAt }",
  auth: "the relay has its own login at the SMTP server: leave it out",
  dsn: "the relay asks for delivery reports by itself: leave it out",
  requireTLSExtensionEnabled: "the relay cannot promise TLS on the hops behind its SMTP server: leave it out",
  ses: "it is for another transport: leave it out",
};

/** Finds the fields that are refused whatever they hold. */
export function findRefusedFields(data: Data, add: AddFault): void {
  for (const [name, message] of Object.entries(REFUSED)) {
    if (data[name]) add(name, message);
  }
}
