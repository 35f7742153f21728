import type { Address } from "./address.ts";
import type { Attachment } from "./attachment.ts";
import type { Digest } from "./digest.ts";
import type { Html } from "./html.ts";
import type { FilledTemplate } from "./stored_template.ts";

// What an app says of a mail. What is read of it is in message.ts.

/** Headers by their names, or as pairs, which allow a name twice. */
export type CustomHeaders = Readonly<Record<string, string>> | readonly (readonly [name: string, value: string])[];

/** All fields of a mail but what readers see. */
export interface MessageFields {
  /** Who it is from. @default the mailer's `from` */
  readonly from?: Address | undefined;
  /** At least one address in `to`, `cc` or `bcc`; at most 500 in all three. */
  readonly to?: Address | readonly Address[] | undefined;
  /** Who gets a copy, for all to see. */
  readonly cc?: Address | readonly Address[] | undefined;
  /** Who gets it without the others knowing: these addresses stand in no header. */
  readonly bcc?: Address | readonly Address[] | undefined;
  /** Where answers go. @default the mailer's `replyTo` */
  readonly replyTo?: Address | readonly Address[] | undefined;
  /** Where bounces go; the empty string asks for none. @default what the relay is set to */
  readonly returnPath?: string | undefined;
  /** Added to the mailer's own; one of the same name replaces it. Pairs allow a name twice. */
  readonly headers?: CustomHeaders | undefined;
  /** At most 25,000,000 bytes in all. */
  readonly attachments?: readonly Attachment[] | undefined;
  /** Labels to find and count mails by; added to the mailer's own. They are not sent. */
  readonly tags?: readonly string[] | undefined;
  /** What the app wants to find again with the mail's status. It is not sent. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /**
   * Its place in the queue; not shown to the reader.
   * @default its stream's, else `normal`, and `low` with `sendMany`
   */
  readonly priority?: "high" | "normal" | "low" | undefined;
  /** Not before this time. A Date, or an ISO 8601 string with a zone. @default at once */
  readonly scheduledAt?: Date | string | undefined;
  /**
   * Not after this time: what is not sent by then ends as `expired`.
   * @default what its stream says, and at the latest what the relay is set to
   */
  readonly expiresAt?: Date | string | undefined;
  /** An https: or mailto: URL for List-Unsubscribe; an https one must take the POST of RFC 8058 (one click). */
  readonly unsubscribe?: string | undefined;
  /**
   * What to do when the mail may have arrived and nobody knows: send again, or wait for a person.
   * @default its stream's, else what the relay is set to
   */
  readonly onUncertain?: "retry" | "hold" | undefined;
  /**
   * A flow with its own pause, rate and route: 1 to 63 of a-z 0-9 . _ -, first a letter or digit. `otp`,
   * `transactional`, `bulk` and `alert` also set what the mail does not say.
   * @default the mailer's
   */
  readonly stream?: string | undefined;
  /**
   * Gathers mails to one recipient into one: each such mail is an item, and goes out with the others of its key when
   * their window ends. One recipient, no attachments, no `scheduledAt` and no `expiresAt`; text and html at most
   * 1,000,000 bytes.
   */
  readonly digest?: Digest | undefined;
  /**
   * Sends it also to an address that is suppressed as `unsubscribe` or `manual`, never as `bounce` or `complaint`: for
   * what its reader has just asked for. Takes a right (`mailchute grants … --may-override-suppression`), else it is
   * `override_not_allowed`; not with `digest`, nor with `sendMany`.
   * @default {false}
   */
  readonly overrideSuppression?: boolean | undefined;
}

/** The line that readers see first. */
export interface SubjectLine {
  /** One line. */
  readonly subject: string;
  /** Goes without subject, text and html only. */
  readonly template?: undefined;
}

/** What is read as a text. */
export interface TextBody extends SubjectLine {
  /** At most 10,000,000 bytes. */
  readonly text: string;
  /** The same as HTML. @default none */
  readonly html?: Html | undefined;
}

/** What is read as HTML. */
export interface HtmlBody extends SubjectLine {
  /** The same as text; the empty one asks for HTML alone. @default the relay makes it from the HTML */
  readonly text?: string | undefined;
  /** At most 10,000,000 bytes. */
  readonly html: Html;
}

/** A template in the place of subject, text and HTML. */
export interface TemplateBody<Template = FilledTemplate> {
  /** One of the app's own in the database, which makes the mail when it is enqueued. */
  readonly template: Template;
  /** Goes without `template` only. */
  readonly subject?: undefined;
  /** Goes without `template` only. */
  readonly text?: undefined;
  /** Goes without `template` only. */
  readonly html?: undefined;
}

/** A mail with a text. */
export interface TextMail extends MessageFields, TextBody {}

/** A mail with HTML. */
export interface HtmlMail extends MessageFields, HtmlBody {}

/** A mail with a template. */
export interface TemplateMail extends MessageFields, TemplateBody {}

/** A mail with a text, an HTML part, or both; or with a template, which has them. */
export type MessageInput = TextMail | HtmlMail | TemplateMail;
