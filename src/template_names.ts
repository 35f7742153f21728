import { LIMITS } from "./limits.ts";
import type { Message } from "./message.ts";
import { namesIn, type Values } from "./template.ts";

/** The names that a template has. */
export interface Names {
  readonly all: readonly string[];
  /** Those that stand in a header. */
  readonly inLine: ReadonlySet<string>;
  /** A text with some of them, which has to be an URL when they are merged. */
  readonly unsubscribe: string | undefined;
  /** Only the database knows the others. */
  readonly hasOthers: boolean;
  /** Tells of somebody's values that a text is sure to become too long with them. */
  readonly isOvergrown: (values: Values) => boolean;
}

/** Finds the names in what a mail of many says. */
export function namesOf(mail: Omit<Message, "to">): Names {
  const inLine = new Set(namesIn([mail.subject, mail.unsubscribe, JSON.stringify(mail.headers)].join(" ")));
  const { unsubscribe } = mail;
  const places = namesIn(Object.values(textsOf(mail)).join(" "));
  return {
    all: [...new Set([...inLine, ...places])],
    inLine,
    unsubscribe: isMerged(unsubscribe) ? unsubscribe : undefined,
    hasOthers: mail.template !== undefined,
    // The relay measures each text by itself, and what HTML makes of the values.
    isOvergrown: (values) =>
      places.reduce((length, name) => length + (values[name] ?? "").length, 0) > 2 * LIMITS.bodyBytes,
  };
}

/** Those texts of a mail in which names may stand, but for its headers. */
export function textsOf(
  { subject, text, html, unsubscribe }: Omit<Message, "to">,
): Readonly<Record<string, string | undefined>> {
  return { subject, text, html, unsubscribe };
}

/** Tells whether names stand in a text. */
export function isMerged(text = ""): boolean {
  return text.includes("{{");
}
