import { domainOf } from "../../src/address.ts";

// A pause is known by its key: `all`, `app=shop`, `stream=bulk`, `batch=` with the batch's id, or `domain=example.com`.
// Mail that it keeps back waits in the queue as mail waits for a limit, with the throttle `paused:` and the keys of all
// pauses that it waits for.

/** What a person has said is not to be begun for now. */
export interface Pause {
  readonly key: string;
  /** Why, if that was said. */
  readonly reason?: string;
  readonly since: Date;
  /** The database role that said so. */
  readonly by: string;
}

/** What of a mail to one address says whether it is paused. */
export interface PausedMail {
  readonly app: string;
  readonly stream: string | null;
  /** The id of its batch. */
  readonly batch: string | null;
  readonly to: string;
}

/** Keeps back all mail: nothing is claimed. */
export const PAUSE_OF_ALL = "all";

const PREFIX = "paused:";

/** An entry of an index takes no more than 2,704 bytes. */
const LONGEST_CHARS = 1_000;

/**
 * The pause that keeps a recipient back; undefined: none does.
 *
 * @example
 * ```ts
 * const keys = new Set(["stream=bulk", "domain=example.com", "app=crm"]);
 * const ofBulk = { app: "shop", stream: "bulk", batch: null };
 * const ofNone = { app: "shop", stream: null, batch: null };
 * if (pauseOf({ ...ofNone, app: "crm", to: "ann@example.net" }, keys) !== "app=crm") throw new Error("unexpected");
 * if (pauseOf({ ...ofBulk, to: "ann@example.com" }, keys) !== "stream=bulk") throw new Error("unexpected");
 * if (pauseOf({ ...ofNone, to: "ann@Example.com" }, keys) !== "domain=example.com") throw new Error("unexpected");
 * if (pauseOf({ ...ofNone, to: "bob@example.net" }, keys) !== undefined) throw new Error("unexpected");
 * ```
 */
export function pauseOf(
  { app, stream, batch, to }: PausedMail,
  keys: ReadonlySet<string>,
): string | undefined {
  // Hardly ever is anything paused.
  if (keys.size === 0) return undefined;
  if (keys.has(PAUSE_OF_ALL)) return PAUSE_OF_ALL;
  const own = [
    `app=${app}`,
    ...(stream === null ? [] : [`stream=${stream}`]),
    ...(batch === null ? [] : [`batch=${batch}`]),
    `domain=${domainOf(to)}`,
  ];
  return own.find((key) => keys.has(key));
}

/**
 * The throttle of mail that waits for the end of these pauses. The end of any of them makes it due again: then some of
 * its recipients may get theirs. (A mail that waits for more pauses than fit waits for the first ones.)
 *
 * @example
 * ```ts
 * const throttle = throttleOfPauses(["domain=b.example", "domain=a.example"]);
 * if (throttle !== "paused:domain=a.example,domain=b.example") throw new Error("unexpected");
 * if (pausesOfThrottle(throttle)?.join(" ") !== "domain=a.example domain=b.example") throw new Error("unexpected");
 * ```
 */
export function throttleOfPauses(keys: Iterable<string>): string {
  const [first = "", ...others] = [...new Set(keys)].sort();
  return others.reduce(
    (throttle, key) => throttle.length + key.length < LONGEST_CHARS ? `${throttle},${key}` : throttle,
    `${PREFIX}${first}`,
  );
}

/** The pauses that mail with this throttle waits for; undefined: it waits for a limit. */
export function pausesOfThrottle(throttle: string): readonly string[] | undefined {
  return throttle.startsWith(PREFIX) ? throttle.slice(PREFIX.length).split(",") : undefined;
}

/** What of the command line, behind `mailchute`, ends a pause. */
export function resumeOf(key: string): string {
  if (key === PAUSE_OF_ALL) return "resume --all";
  const at = key.indexOf("=");
  const [kind, name] = [key.slice(0, at), key.slice(at + 1)];
  if (kind === "batch") return `batch ${name} --resume`;
  return `resume --${kind === "domain" ? "to-domain" : kind} ${name}`;
}

/** Says for people what a pause keeps back. */
export function describePause(key: string): string {
  if (key === PAUSE_OF_ALL) return "all mail";
  const at = key.indexOf("=");
  const kind = key.slice(0, at);
  return kind === "domain" ? `mail to ${key.slice(at + 1)}` : `${kind} ${key.slice(at + 1)}`;
}
