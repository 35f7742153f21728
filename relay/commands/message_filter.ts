import { domainOf, parseAddress } from "../../src/address.ts";
import { FINAL_STATES, OPEN_STATES } from "../../src/state.ts";
import { isStream } from "../../src/stream.ts";
import { parseDuration } from "../time/duration.ts";
import { type Options, UsageError } from "./command.ts";

/**
 * Every state that a message can show in a list; `digested`: it is an item of a digest that was closed
 * (docs/states.md).
 */
export const STATES: readonly string[] = [...OPEN_STATES, ...FINAL_STATES, "digested"];

/** States in which a message has a row of the queue. */
const OPEN: ReadonlySet<string> = new Set(OPEN_STATES);

/** `--state --to --tag …`: which messages a command means. */
export const FILTER_OPTIONS = {
  state: { type: "string", multiple: true },
  to: { type: "string" },
  tag: { type: "string" },
  batch: { type: "string" },
  stream: { type: "string" },
  app: { type: "string" },
  error: { type: "string" },
  since: { type: "string" },
  until: { type: "string" },
} as const;

/** How these read in a usage line. */
export const FILTER_USAGE =
  "[--state STATE…] [--to ADDRESS|@DOMAIN] [--tag TAG] [--batch NAME] [--stream NAME] [--app NAME] [--error TEXT] [--since 2h] [--until TIME]";

/** Which messages are meant: all that fit every part. */
export interface MessageFilter {
  readonly states?: readonly string[] | undefined;
  readonly to?: string | undefined;
  readonly tag?: string | undefined;
  /** A batch's name, or its id. */
  readonly batch?: string | undefined;
  readonly stream?: string | undefined;
  readonly app?: string | undefined;
  /** Part of a reason or of the last reply, in whichever case. */
  readonly error?: string | undefined;
  /** When they were enqueued. */
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
}

/** Reads the filters of a command line. @throws {UsageError} naming the option and what it takes */
export function filterOf(options: Options, now: Date): MessageFilter {
  const states = options.state as readonly string[] | undefined;
  const wrong = states?.find((state) => !STATES.includes(state));
  if (wrong !== undefined) throw new UsageError(`--state ${wrong} is no state: ${STATES.join(" ")}`);
  const stream = options.stream as string | undefined;
  if (stream !== undefined && !isStream(stream)) {
    throw new UsageError(`--stream ${stream} is no stream: 1 to 63 of a-z 0-9 . _ -, first a letter or digit`);
  }
  const since = timeOf("--since", options.since, now);
  const until = timeOf("--until", options.until, now);
  if (since !== undefined && until !== undefined && since >= until) {
    throw new UsageError("--since is not before --until: nothing lies between them");
  }
  return {
    ...{ states, stream, since, until },
    to: recipientOf(options.to),
    tag: textOf(options.tag),
    batch: textOf(options.batch),
    app: textOf(options.app),
    error: textOf(options.error),
  };
}

/** Tells whether a filter leaves nothing out. */
export function isEverything(filter: MessageFilter): boolean {
  return Object.values(filter).every((part) => part === undefined);
}

/**
 * What a statement is asked with: a condition on `m` (message), `q` (queue) and `s` (its recipients), and the values of
 * its parameters.
 */
export interface Condition {
  readonly text: string;
  readonly values: readonly (string | null)[];
}

/**
 * Writes a filter as SQL. Index: recipient_email for an address, message_batch for a batch, queue_pkey for open states;
 * else the messages are walked.
 * @param first the number of the first parameter that is free
 */
export function conditionOf(filter: MessageFilter, first: number): Condition {
  const { states, to, tag, batch, stream, app, error, since, until } = filter;
  const values: string[] = [];
  const parameter = (value: string) => `$${first - 1 + values.push(value)}`;
  const parts: string[] = [];
  if (states !== undefined) {
    const list = parameter(JSON.stringify(states));
    parts.push(`s.state in (select jsonb_array_elements_text(${list}::text::jsonb))`);
    if (states.every((state) => OPEN.has(state))) parts.push("q.seq is not null");
  }
  if (to?.startsWith("@")) {
    parts.push(
      `exists (select from mailchute.recipient r where r.seq = m.seq and split_part(lower(r.email), '@', 2) = ${
        parameter(to.slice(1).toLowerCase())
      })`,
    );
  } else if (to !== undefined) {
    parts.push(
      `m.seq in (select r.seq from mailchute.recipient r where lower(r.email) = lower(${parameter(to)}))`,
    );
  }
  if (tag !== undefined) parts.push(`m.tags @> array[${parameter(tag)}::text]`);
  if (batch !== undefined) {
    const name = parameter(batch);
    parts.push(
      `m.batch in (select b.seq from mailchute.batch b where b.name = ${name} or b.id::text = lower(${name}))`,
    );
  }
  if (stream !== undefined) parts.push(`m.stream = ${parameter(stream)}`);
  if (app !== undefined) parts.push(`m.app = ${parameter(app)}`);
  if (since !== undefined) parts.push(`m.created_at >= ${parameter(since.toISOString())}::timestamptz`);
  if (until !== undefined) parts.push(`m.created_at < ${parameter(until.toISOString())}::timestamptz`);
  if (error !== undefined) parts.push(`strpos(lower(s.reasons), lower(${parameter(error)})) > 0`);
  return { text: parts.length === 0 ? "true" : parts.join(" and "), values };
}

/** `m` with what its recipients say of it, for a statement that has a condition. */
export const MATCHED = `
mailchute.message m
left join mailchute.queue q on q.seq = m.seq
cross join lateral (
  select mailchute.message_state(array_agg(mailchute.shown_state(r.state, q.leased_by is not null, m.scheduled_at, coalesce(q.attempts, 0)))) as state,
    count(*)::int as recipients, min(r.email) filter (where r.position = 0) as first,
    max(coalesce(r.reason, a.reply)) filter (where r.state <> 'sent') as reason,
    string_agg(coalesce(r.reason, '') || ' ' || coalesce(a.reply, ''), ' ') filter (where r.state <> 'sent') as reasons
  from mailchute.recipient r
  left join lateral (select reply from mailchute.attempt a where a.seq = r.seq and a.position = r.position order by a.number desc limit 1) a on true
  where r.seq = m.seq
) s`;

function textOf(text: Options[string]): string | undefined {
  return typeof text === "string" ? text : undefined;
}

function recipientOf(text: Options[string]): string | undefined {
  if (typeof text !== "string") return undefined;
  const isDomain = text.startsWith("@");
  const address = isDomain ? `a${text}` : text;
  if (!parseAddress(address).ok) {
    throw new UsageError(`--to ${text} is no address: write ann@example.com, or @example.com for all of a domain`);
  }
  return isDomain ? `@${domainOf(address)}` : text;
}

/** A duration counts back from now. */
function timeOf(option: string, text: Options[string], now: Date): Date | undefined {
  if (typeof text !== "string") return undefined;
  const ms = parseDuration(text);
  if (ms !== undefined && ms <= now.getTime()) return new Date(now.getTime() - ms);
  if (
    /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(text) && !Number.isNaN(Date.parse(text))
  ) {
    return new Date(text);
  }
  throw new UsageError(
    `${option} ${text} is no time: write how long ago (30m, 2h, 7d), or 2026-11-21 or 2026-11-21T12:00:00Z`,
  );
}
