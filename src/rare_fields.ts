import { withDigest } from "./digest.ts";
import type { Finding } from "./finding.ts";
import type { Message } from "./message.ts";
import { withTemplate } from "./stored_template.ts";

/** What was read of a mail, each field on its own. */
type Read = { readonly [Name in keyof Message]?: Message[Name] | undefined };

/**
 * Reads the fields that few mails have into what was read of the mail, and adds what is wrong: loaded when a mail has
 * one.
 */
export function withRareFields(read: Read, given: Readonly<Record<string, unknown>>, all: Finding[]): Read {
  const { digest, template } = given;
  const filled = template === undefined ? read : withTemplate(read, Object(template), all);
  return digest === undefined ? filled : withDigest(filled, Object(digest), all);
}
