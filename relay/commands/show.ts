import { type Command, DATABASE_OPTION, JSON_OPTION } from "./command.ts";
import { onMessages } from "./messages.ts";
import { type MessageHead, readHead } from "./show_head.ts";

interface Described {
  readonly id: string;
  readonly app: string;
  readonly state: string;
  readonly createdAt: string;
  readonly scheduledAt?: string;
  readonly expiresAt?: string;
  readonly nextAttemptAt?: string;
  readonly stream?: string;
  readonly batch?: string;
  readonly overrideSuppression?: boolean;
  readonly digest?: { readonly key: string; readonly id?: string; readonly items?: number };
  readonly tags: readonly string[];
  readonly recipients: readonly {
    readonly kind: string;
    readonly address: string;
    readonly state: string;
    readonly code?: number;
    readonly reason?: string;
  }[];
  readonly attempts: readonly Attempt[];
  readonly events: readonly News[];
}

/** What came back. */
interface News {
  readonly type: string;
  readonly at: string;
  readonly address: string;
  readonly reply: string;
  readonly reporter?: string;
}

interface Attempt {
  readonly number: number;
  readonly at: string;
  readonly address: string;
  readonly outcome: string;
  readonly phase: string;
  readonly reply: string;
  readonly code?: number;
  readonly enhanced?: string;
  readonly route?: string;
}

/** One of its addresses that gets no mail of its app now. */
interface Listed {
  readonly address: string;
  readonly reason: string;
  readonly scope: string;
  readonly until: string | null;
}

/** Index: recipient_pkey, suppression_pkey. */
const LISTED = `select s.address, s.reason, split_part(s.scope, ':', 1) as scope, to_json(s.until) #>> '{}' as until
from mailchute.message m
cross join lateral (select distinct lower(r.email) as address from mailchute.recipient r where r.seq = m.seq) a
cross join lateral mailchute.listed_for(a.address, m.app) s
where m.seq = $1::bigint
order by 1, 3`;

/** `show`: everything about one message but its text. */
export const showCommand: Command = {
  name: "show",
  usage: "ID… [--json] [--database NAME]",
  summary:
    "one message: its sender, subject and recipients, and every attempt with what the server said, and what came back",
  options: { ...JSON_OPTION, ...DATABASE_OPTION },
  async run(context, words, options) {
    return await onMessages(context, { words, database: options.database }, async (sql, { seq }) => {
      const [row] = await sql`select mailchute.describe(${seq}::bigint) as message`;
      const listed = await sql.unsafe<Listed[]>(LISTED, [seq]);
      const message = { ...row?.message as Described, ...(listed.length > 0 ? { suppressions: listed } : {}) };
      const head = await readHead(sql, seq);
      context.print(options.json ? JSON.stringify({ ...message, ...head }, null, 2) : describe(message, head));
      return true;
    });
  },
};

function describe(
  message: Described & { readonly suppressions?: readonly Listed[] },
  { from, subject, messageId }: MessageHead,
): string {
  const { id, digest } = message;
  // An item is not sent under an id of its own, unless it goes out alone.
  const isSent = digest === undefined || digest.items !== undefined || digest.id === id;
  const times = [
    `created ${message.createdAt}`,
    ...(message.scheduledAt ? [`scheduled ${message.scheduledAt}`] : []),
    ...(message.expiresAt ? [`expires ${message.expiresAt}`] : []),
    ...(message.nextAttemptAt ? [`next attempt ${message.nextAttemptAt}`] : []),
  ];
  const labels = [
    `app ${message.app}`,
    ...(message.stream === undefined ? [] : [`stream ${message.stream}`]),
    ...(message.batch === undefined ? [] : [`batch ${message.batch}`]),
    ...describeDigest(message),
    ...(message.overrideSuppression ? ["overrides the suppression list"] : []),
    ...(message.tags.length > 0 ? [`tags ${message.tags.join(", ")}`] : []),
  ];
  return [
    `${id}  ${message.state}`,
    `  from ${from}${subject === undefined ? "" : `: ${subject}`}`,
    ...(isSent ? [`  Message-ID ${messageId}`] : []),
    `  ${labels.join(", ")}`,
    `  ${times.join(", ")}`,
    ...message.recipients.map(({ kind, address, state, reason }) =>
      `  ${kind.padEnd(3)} ${address}: ${state}${reason ? ` (${reason})` : ""}`
    ),
    ...(message.suppressions ?? []).map(({ address, reason, scope, until }) =>
      `  on the suppression list now: ${address} (${reason}), for ${scope === "app" ? "this app" : "all apps"}, ${
        until === null ? "for good" : `until ${until}`
      }`
    ),
    ...message.attempts.map(describeAttempt),
    ...message.events.map(({ type, at, address, reporter, reply }) =>
      `  report at ${at} for ${address}: ${type}${reporter === undefined ? "" : ` (${reporter})`}: ${reply}`
    ),
  ].join("\n");
}

function describeDigest({ id, digest }: Described): readonly string[] {
  if (digest === undefined) return [];
  if (digest.items !== undefined) return [`digest ${digest.key} of ${digest.items} items`];
  if (digest.id === undefined) return [`waits for digest ${digest.key}`];
  return [digest.id === id ? `digest ${digest.key}, alone` : `in digest ${digest.key} ${digest.id}`];
}

function describeAttempt({ number, at, address, outcome, route, phase, code, enhanced, reply }: Attempt): string {
  const by = route === undefined ? "" : ` by ${route}`;
  const said = [code, enhanced].filter((part) => part !== undefined).map((part) => ` ${part}`).join("");
  return `  attempt ${number} at ${at} for ${address}: ${outcome}${by} in ${phase}${said}: ${reply}`;
}
