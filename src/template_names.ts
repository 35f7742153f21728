import { MailchuteError } from "./error.ts";
import { LIMITS } from "./limits.ts";
import type { Message } from "./message.ts";
import { merge, namesIn, type Values } from "./template.ts";

/** The names that a template has. */
export interface Names {
  readonly all: readonly string[];
  /** Those that stand in a header. */
  readonly inLine: ReadonlySet<string>;
  /** A text with some of them, which has to be an URL when they are merged. */
  readonly unsubscribe: string | undefined;
  /** Only the database knows the others. */
  readonly hasOthers: boolean;
  /** Says of somebody's values that a text becomes too long with them. */
  readonly overgrown: (values: Values) => string | undefined;
}

/** What `escapeHtml` makes of one character, at most. */
const LONGEST_ESCAPE = 6;

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
    overgrown: (values) => overgrown(mail, { values, places: places.length }),
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

/** As the relay will find when it merges them. To merge is for those alone whose values are so long that it may come to that. */
function overgrown(
  { text = "", html = "" }: Omit<Message, "to">,
  { values, places }: { readonly values: Values; readonly places: number },
): string | undefined {
  const length = Object.values(values).reduce((sum, value) => sum + value.length, 0);
  if (text.length + html.length + length * places * LONGEST_ESCAPE <= LIMITS.bodyBytes) return undefined;
  try {
    merge(text, values);
    merge(html, values, "html");
    return undefined;
  } catch (error) {
    // That one is missing is said already.
    return error instanceof MailchuteError && error.code === "too_large" ? error.issues[0]?.message : undefined;
  }
}
