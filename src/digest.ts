import { type Field, field, key, oneOf, over } from "./field.ts";
import { checkFields, type Finding } from "./finding.ts";
import { fitting, isWhole } from "./fitting.ts";
import type { Message } from "./message.ts";
import { octets } from "./octets.ts";

// DESIGN: what an app fills in, and what else the mail has, is checked here, before the database could end its
// transaction for it. Which fields of a digest go together, the compiler says, and the database to whom it cannot
// (digest_issues of 012_digest_items.sql).

/**
 * Which digest an item goes into, and when that goes out: so long after its first item (`wait`), when none has come for
 * so long (`wait` with `debounce`), or at a time of day. A digest is per app, recipient and key; a lone item goes out
 * as it is.
 */
export type Digest = DigestFields & (DigestWait | DigestTime);

/** What a digest is called, and how it looks; where items differ, the newest one counts. */
export interface DigestFields {
  /** 1 to 256 bytes, such as `replies`. */
  readonly key: string;
  /**
   * The subject of a digest; `{{count}}` is the number of its items.
   * @default the newest item's, with ` (+4)` behind it
   */
  readonly subject?: string | undefined;
  /** The line that stands for items beyond `maxItems`; `{{more}}` is their number. @default {"and {{more}} more"} */
  readonly more?: string | undefined;
  /** How many items are shown, oldest first: 1 to 500, and 1,000,000 bytes in all. @default {50} */
  readonly maxItems?: number | undefined;
}

/** A window that ends a time after an item. */
export interface DigestWait {
  /** Such as `90s`, `15m`, `1h` or `7d`; at most 31 days. */
  readonly wait: string;
  /** Counts from the newest item and not from the first. @default {false} */
  readonly debounce?: boolean | undefined;
  /** With `debounce`: the longest that the first item waits. @default ten times `wait`, at most 31 days */
  readonly atMost?: string | undefined;
  /** Goes without `wait` only. */
  readonly at?: undefined;
  /** Goes with `at` only. */
  readonly timeZone?: undefined;
}

/** A window that ends at a time of day. */
export interface DigestTime {
  /** Such as `09:00`. */
  readonly at: string;
  /** Such as `Europe/Vienna`. */
  readonly timeZone: string;
  /** Goes without `at` only. */
  readonly wait?: undefined;
  /** Goes with `wait` only. */
  readonly debounce?: undefined;
  /** Goes with `debounce` only. */
  readonly atMost?: undefined;
}

const KEY_BYTES = 256;
const LINE_BYTES = 998;
/** Text and HTML of an item. As much as a digest shows, so that the first item always has room. */
const ITEM_BYTES = 1_000_000;

const SPAN = fittingText("a time such as 15m", (value) => /^[1-9]\d{0,6}[smhd]$/.test(value));
const LINE = field((value, fault) => key(value, LINE_BYTES, fault));
const FIELDS = {
  key: field((value, fault) => key(value, KEY_BYTES, fault)),
  wait: SPAN,
  debounce: field(oneOf(true, false)),
  atMost: SPAN,
  at: fittingText("a time of day such as 09:00", (value) => /^([01]\d|2[0-3]):[0-5]\d$/.test(value)),
  timeZone: fittingText(
    "a time zone such as Europe/Vienna",
    (timeZone) => !!new Intl.DateTimeFormat("en", { timeZone }),
  ),
  subject: LINE,
  more: LINE,
  maxItems: fitting("a whole number from 1 to 500", (value) => isWhole(value, 500)),
};

/** What was read of a mail, each field on its own. */
type Read = { readonly [Name in keyof Message]?: Message[Name] | undefined };

/** Reads the digest of a mail into what was read of the mail, and adds what is wrong. */
export function withDigest(read: Read, given: Partial<Digest>, all: Finding[]): Read {
  const { output: digest, findings } = checkFields<Digest>(FIELDS, { ...given }, "it is no field of a digest");
  for (const finding of findings) all.push({ ...finding, path: `digest.${finding.path}` });
  if (given.key === undefined) all.push({ path: "digest.key", message: "it is missing" });
  const add = (path: string, reason: string) => all.push({ path, message: `${reason} with digest`, limit: false });
  for (const name of ["cc", "bcc", "attachments"] as const) if (read[name]?.length) add(name, "it cannot go together");
  for (const name of ["scheduledAt", "expiresAt"] as const) {
    if (read[name] !== undefined) add(name, "it cannot go together");
  }
  if (read.overrideSuppression) add("overrideSuppression", "it cannot go together");
  if ((read.to?.length ?? 0) > 1) add("to", "it has more than one address, which cannot go together");
  over(octets([read.text, read.html].join("")), ITEM_BYTES, (reason) => {
    all.push({ path: "digest", message: `${reason} of text and html`, limit: true });
  });
  return { ...read, digest };
}

/** A text that fits: what only becomes one, such as a list with one text in it, the database would refuse. */
function fittingText(what: string, fits: (value: string) => boolean): Field<unknown> {
  return fitting(what, (value) => typeof value === "string" && fits(value));
}
