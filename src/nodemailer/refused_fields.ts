import type { AddFault, ComposedMail, Data } from "./composed_mail.ts";

/**
 * Fields that ask for what no mail of the queue can carry. Dropped, they would change what the app meant; so they say
 * what to do instead.
 */
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

/**
 * Finds what a plugin (`transporter.use("stream", …)`) would do to the finished mail, which is another one here:
 * unencrypted, where a plugin for OpenPGP or S/MIME was to encrypt it.
 */
export function findTransforms({ message, data }: Pick<ComposedMail, "message" | "data">, add: AddFault): void {
  // That of dkim, which is refused by its name.
  if ((data as Data).dkim) return;
  const { _transforms: transforms, _processFuncs: functions } = message as object as Data;
  if ([transforms, functions].flat().some((change) => change !== undefined)) {
    add(
      "message",
      "a plugin is to change the finished mail (encrypt or sign it), and the relay writes another: leave the plugin out",
    );
  }
}
