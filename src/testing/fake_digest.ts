import type { Digest } from "../digest.ts";
import type { Message } from "../message.ts";
import { isTemplate, namesIn } from "../template.ts";
import { Refused } from "./refused.ts";

const DAY_MS = 86_400_000;
const SPAN_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: DAY_MS };
const MAX_SPAN_MS = 31 * DAY_MS;
/** What an item must not have. */
const EXCLUDED = {
  cc: "does not go with digest: send each recipient an item",
  bcc: "does not go with digest: send each recipient an item",
  attachments: "do not go with digest: link to the files, or send a mail of its own",
  scheduledAt: "does not go with digest: its window says when it is sent",
  expiresAt: "does not go with digest: its window says when it is sent",
} as const;

/** Refuses an item as the database does, which alone knows what goes with what. */
export function checkDigest(message: Message): void {
  const issues: { readonly path: string; readonly message: string }[] = [];
  const add = (path: string, text: string) => void issues.push({ path, message: text });
  // What the client takes: its types may have been left out.
  const given: Readonly<Record<string, unknown>> = { ...message.digest };
  const { wait, at, timeZone, debounce, atMost } = given;
  if (wait === undefined && at === undefined) add("digest.wait", "is missing, and at too");
  else if (wait !== undefined && at !== undefined) {
    add("digest.wait", "does not go with at: a window ends after a time or at a time of day");
  }
  if (wait !== undefined && !(msOf(wait) <= MAX_SPAN_MS)) {
    add("digest.wait", "must be a time of 1s to 31d, such as 90s, 15m, 1h or 7d");
  }
  if (debounce === true && wait === undefined) add("digest.debounce", "goes with wait only");
  if (atMost !== undefined && debounce !== true) {
    add("digest.atMost", "goes with debounce only: without it the first item says when the window ends");
  } else if (atMost !== undefined && !(msOf(atMost) <= MAX_SPAN_MS && !(msOf(atMost) < msOf(wait)))) {
    add("digest.atMost", "must be a time of at least wait and at most 31d, such as 1d");
  }
  if (timeZone !== undefined && at === undefined) add("digest.timeZone", "goes with at only");
  else if (at !== undefined && !/^(UTC|[A-Za-z_]+(\/[A-Za-z0-9_+-]+)+)$/.test(String(timeZone))) {
    add("digest.timeZone", "must be a time zone that the database knows, such as Europe/Vienna");
  }
  for (const [name, known] of [["subject", "count"], ["more", "more"]] as const) {
    const text = String(given[name] ?? "");
    if (!isTemplate(text) || namesIn(text).some((found) => found !== known)) {
      add(`digest.${name}`, `must be a line of at most 998 bytes, with no other name than {{${known}}}`);
    }
  }
  for (const [name, text] of Object.entries(EXCLUDED)) {
    if (message[name as keyof typeof EXCLUDED] !== undefined) add(name, text);
  }
  if (message.overrideSuppression) add("overrideSuppression", "does not go with digest: send what must go by itself");
  if (message.to !== undefined && message.to.length > 1) {
    add("to", "has several addresses, which do not go with digest: send each recipient an item");
  }
  const [first] = issues;
  if (first === undefined) return;
  throw new Refused("MC001", `Cannot enqueue the mail: ${first.path} ${first.message}`, issues);
}

/** When an item goes out at the latest, if it is the first of its window, as `digest_latest` of the database says. */
export function digestLatestMs(digest: Digest, nowMs: number): number {
  if (digest.at !== undefined) return nextTimeOfDayMs(digest.at, digest.timeZone, nowMs);
  const waitMs = msOf(digest.wait);
  if (digest.debounce !== true) return nowMs + waitMs;
  return nowMs + (digest.atMost === undefined ? Math.min(waitMs * 10, MAX_SPAN_MS) : msOf(digest.atMost));
}

/** NaN: it is no such time. */
function msOf(span: unknown): number {
  const [, number, unit = ""] = /^([1-9]\d{0,6})([smhd])$/.exec(String(span)) ?? [];
  return Number(number) * (SPAN_MS[unit] ?? Number.NaN);
}

function nextTimeOfDayMs(at: string, timeZone: string, nowMs: number): number {
  const [hours = 0, minutes = 0] = at.split(":").map(Number);
  const midnightMs = Math.floor((nowMs + offsetMs(nowMs, timeZone)) / DAY_MS) * DAY_MS;
  const wallMs = midnightMs + (hours * 60 + minutes) * 60_000;
  const todayMs = atWallMs(wallMs, timeZone);
  return todayMs > nowMs ? todayMs : atWallMs(wallMs + DAY_MS, timeZone);
}

/**
 * When clocks there show this time: one that they skip is as much later, and one that they show twice is the second.
 */
function atWallMs(wallMs: number, timeZone: string): number {
  const [before, after] = [offsetMs(wallMs - DAY_MS, timeZone), offsetMs(wallMs + DAY_MS, timeZone)];
  return offsetMs(wallMs - after, timeZone) === after ? wallMs - after : wallMs - before;
}

/** How far the clocks there are ahead of UTC. */
function offsetMs(atMs: number, timeZone: string): number {
  const format = new Intl.DateTimeFormat("en-US", {
    ...{ timeZone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric" },
    ...{ hour: "numeric", minute: "numeric", second: "numeric" },
  });
  const part = Object.fromEntries(format.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]));
  const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = part;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(atMs / 1_000) * 1_000;
}
