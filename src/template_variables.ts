import type { Address } from "./address.ts";
import type { HtmlBody, MessageFields, TemplateBody, TextBody } from "./message_input.ts";
import type { SharedTemplate } from "./stored_template.ts";

// The compiler's side of {{names}}: what stands in a template's own text decides what each recipient must bring.

/**
 * What the mails of a bulk send share: a mail without recipients. `{{name}}` in subject, text, html, unsubscribe and
 * headers stands for each one's own; and so in a template of the database.
 */
export type MailTemplate =
  & Omit<MessageFields, "to" | "cc" | "bcc" | "digest">
  & (TextBody | HtmlBody | TemplateBody<SharedTemplate>);

/** What the compiler says of a field that a template does not have; nothing is of this type. */
export interface NoFieldOfATemplate {
  /** There is no value for it. */
  readonly refused: never;
}

/** Refuses fields that a template does not have, recipients above all. */
export type NoOthers<T> = { readonly [Name in Exclude<keyof T, keyof MailTemplate>]: NoFieldOfATemplate };

/** A value that is put in the place of a name: escaped in HTML, raw in text and subject. */
export type Value = string | number;

/** A name without the blanks around it. */
export type Trimmed<Text extends string> = Text extends ` ${infer Rest}` ? Trimmed<Rest>
  : Text extends `${infer Rest} ` ? Trimmed<Rest>
  : Text;

/** The names in a text: `"a" | "b"` for `{{a}} and {{ b }}`. */
export type NamesIn<Text, Found = never> = Text extends `${string}{{${infer Name}}}${infer Rest}`
  ? NamesIn<Rest, Found | Trimmed<Name>>
  : Found;

/** The texts of a template that may hold names; headers are left to the check at run time. */
export type Texts<T> = Extract<T[keyof T & ("subject" | "text" | "html" | "unsubscribe")], unknown>;

/**
 * Whether the compiler sees all of it: a text that is read from a file or rendered, or lies in the database, may hold
 * any names.
 */
export type IsSeen<T> = T extends { readonly headers: unknown } | { readonly template: object } ? false
  : [Texts<T>] extends [string | undefined] ? string extends Texts<T> ? false : true
  : false;

/**
 * The variables that each recipient of a template must have: exactly its names where the compiler sees its texts, else
 * any.
 */
export type VariablesOf<T> = IsSeen<T> extends true ? { readonly [Name in NamesIn<Texts<T>>]: Value }
  : Readonly<Record<string, Value>>;

/** Who gets a mail of a bulk send. */
export type ManyRecipient<T = MailTemplate> =
  & {
    readonly to: Address;
    /**
     * 1 to 256 bytes: what tells two mails of one batch to the same address apart, such as an invoice's number.
     * @default the address
     */
    readonly key?: string | undefined;
  }
  & ([keyof VariablesOf<T>] extends [never] ? { readonly variables?: Readonly<Record<never, never>> | undefined }
    : IsSeen<T> extends true ? { readonly variables: VariablesOf<T> }
    : { readonly variables?: VariablesOf<T> | undefined });

/** A list of any length. An array stands for itself, so that the compiler tells which of its recipients is wrong. */
export type ManyRecipients<T = MailTemplate> =
  | readonly ManyRecipient<T>[]
  | Iterable<ManyRecipient<T>>
  | AsyncIterable<ManyRecipient<T>>;
