import { type Cause, explain } from "./duplicates.ts";
import type { Misbehaviour, Trouble } from "./fleet.ts";
import type { Entry } from "./ledger.ts";
import type { AttemptRow, DatabaseRows, MailRow } from "./rows.ts";
import type { Copy } from "./sink.ts";

// DESIGN: three witnesses are heard, who know nothing of each other: the apps (ledger), the SMTP server (copies) and
// the database (rows). Whatever one of them says that the others contradict is a finding. Pure, so that a test can hand
// it histories that must not be.

/** Everything that is known at the end of a run. */
export interface History {
  readonly ledger: readonly Entry[];
  readonly copies: readonly Copy[];
  readonly rows: DatabaseRows;
  readonly troubles: readonly Trouble[];
  readonly misbehaviours: readonly Misbehaviour[];
  readonly leaseMs: number;
  /** All that was due was settled before the time was over. */
  readonly wasEmptied: boolean;
  /** Causes for which a copy may go without an `uncertain` attempt on record. */
  readonly tolerated: ReadonlySet<Cause>;
}

/** What must not be. */
export interface Finding {
  readonly kind:
    | "lost"
    | "sent_though_rolled_back"
    | "sent_though_canceled"
    | "queued_twice"
    | "half_a_transaction"
    | "message_id_differs"
    | "content_differs"
    | "sent_to_a_stranger"
    | "sent_before_its_time"
    | "state_without_reason"
    | "states_disagree"
    | "sent_twice"
    | "misbehaved";
  /** Undefined when it is not about one mail. */
  readonly token: string | undefined;
  readonly what: string;
}

/** What came out. */
export interface Verdict {
  readonly findings: readonly Finding[];
  /** Mails by what their producers knew: unknown ones are looked up by their id. */
  readonly committed: number;
  readonly rolledBack: number;
  readonly lookedUp: number;
  /** Recipients by their last state. */
  readonly states: Readonly<Record<string, number>>;
  /**
   * Copies that are not the one on record as `sent`: those with an `uncertain` attempt, and the others by what may
   * explain them.
   */
  readonly recorded: number;
  readonly unrecorded: Readonly<Record<Cause, number>>;
}

/** Times are taken on one machine, but not at one instant. */
const CLOCK_SLACK_MS = 50;

/** Holds what the three witnesses say against each other. */
export function judge(history: History): Verdict {
  const { ledger, copies, rows, misbehaviours, wasEmptied } = history;
  const findings: Finding[] = misbehaviours.map(({ relay, what }) => ({
    kind: "misbehaved",
    token: undefined,
    what: `relay ${relay} ${what}`,
  }));
  const find = (kind: Finding["kind"], token: string | undefined, what: string) =>
    void findings.push({ kind, token, what });
  if (!wasEmptied) find("lost", undefined, "the queue was not empty when the time was over");

  const rowsOf = groupBy(rows.mails, ({ token }) => token);
  const copiesOf = groupBy(copies, ({ token }) => token);
  const known = new Set(ledger.map(({ token }) => token));
  for (const token of [...rowsOf.keys(), ...copiesOf.keys()]) {
    if (!known.has(token)) find("states_disagree", token, "is a mail that nobody has enqueued");
  }

  const counts = { committed: 0, rolledBack: 0, lookedUp: 0, recorded: 0 };
  const states: Record<string, number> = {};
  const unrecorded: Record<Cause, number> = { killed: 0, frozen: 0, database: 0, unexplained: 0 };
  for (const entry of ledger) {
    const { token } = entry;
    const [row, ...more] = rowsOf.get(token) ?? [];
    const ofMail = copiesOf.get(token) ?? [];
    const tell = (kind: Finding["kind"], what: string) => find(kind, token, what);
    if (entry.fate === "unknown") counts.lookedUp++;
    if (more.length > 0) tell("queued_twice", `is in the database ${more.length + 1} times`);
    if (entry.hasOrder && rows.orders.has(token) !== (row !== undefined)) {
      tell("half_a_transaction", row === undefined ? "has an order and no mail" : "has a mail and no order");
    }
    if (row === undefined) {
      if (entry.fate === "committed") tell("lost", "was committed and is not in the database");
      else counts.rolledBack++;
      if (ofMail.length > 0) tell("sent_though_rolled_back", `was received ${ofMail.length} times`);
      continue;
    }
    if (entry.fate === "rolled_back") tell("half_a_transaction", "was rolled back and is in the database");
    counts.committed++;
    if (entry.id !== undefined && entry.id !== row.id) tell("queued_twice", `has the id ${row.id}, not ${entry.id}`);
    judgeCopies(entry, { row, copies: ofMail }, tell);
    for (const recipient of row.recipients) {
      states[recipient.state] = (states[recipient.state] ?? 0) + 1;
      const { recorded, open } = judgeRecipient(entry, { row, recipient, copies: ofMail, history }, tell);
      counts.recorded += recorded;
      for (const cause of open) unrecorded[cause]++;
    }
    judgeQueueRow(row, tell);
  }
  return { findings, ...counts, states, unrecorded };
}

type Tell = (kind: Finding["kind"], what: string) => void;

/** All copies are the same mail, to its recipients, not before its time. */
function judgeCopies(
  entry: Entry,
  { row, copies }: { readonly row: MailRow; readonly copies: readonly Copy[] },
  tell: Tell,
): void {
  const ids = new Set(copies.map(({ messageId }) => messageId));
  if (ids.size > 1 || [...ids].some((id) => !id.startsWith(`${row.id}@`))) {
    tell("message_id_differs", `came as ${[...ids].join(", ")}; its id is ${row.id}`);
  }
  if (new Set(copies.map(({ content }) => content)).size > 1) tell("content_differs", "came with other content");
  for (const { recipients, receivedMs } of copies) {
    const strangers = recipients.filter((recipient) => !entry.recipients.includes(recipient));
    if (strangers.length > 0) tell("sent_to_a_stranger", strangers.join(", "));
    if (entry.scheduledMs !== undefined && receivedMs < entry.scheduledMs - CLOCK_SLACK_MS) {
      tell("sent_before_its_time", `${entry.scheduledMs - receivedMs} ms early`);
    }
  }
}

interface RecipientCase {
  readonly row: MailRow;
  readonly recipient: MailRow["recipients"][number];
  readonly copies: readonly Copy[];
  readonly history: History;
}

/** Where one recipient has ended, and whether the sink and the attempts bear it out. */
function judgeRecipient(
  entry: Entry,
  { row, recipient, copies, history }: RecipientCase,
  tell: Tell,
): { readonly recorded: number; readonly open: readonly Cause[] } {
  const { position, email, state, reason } = recipient;
  const attempts = row.attempts.filter((attempt) => attempt.position === position);
  const received = copies.filter(({ recipients }) => recipients.includes(email));
  const deaths = history.troubles.filter(({ kind }) => kind === "killed" || kind === "frozen").length;
  const wrong = faultOfState(state, { attempts, reason, entry, deaths });
  if (wrong !== undefined) tell(wrong.kind, `${email} ${wrong.what}`);

  const taken = received.filter(({ answer }) => answer === undefined || answer.code < 400)
    .toSorted((a, b) => a.receivedMs - b.receivedMs);
  const isSent = state === "sent";
  if (isSent && !taken.some(({ answer }) => answer !== undefined)) {
    tell("lost", `${email} is sent, and the server has accepted no copy`);
  }
  const { recorded, unrecorded } = explain({ copies: taken, attempts, isSent }, history.troubles, history.leaseMs);
  for (const { copy, cause } of unrecorded) {
    if (history.tolerated.has(cause)) continue;
    if (entry.canceled !== undefined && state === "canceled") {
      tell("sent_though_canceled", `${email}: ${tellCopy(copy)}`);
    } else tell("sent_twice", `${email} (${state}; ${cause}): no attempt says uncertain about ${tellCopy(copy)}`);
  }
  return { recorded, open: unrecorded.map(({ cause }) => cause) };
}

interface StateFacts {
  readonly attempts: readonly AttemptRow[];
  readonly reason: string | null;
  readonly entry: Entry;
  /** How often a relay died, or looked like it. */
  readonly deaths: number;
}

/** Deaths after which a mail may be blamed: three in a row with it in flight, and one with it alone. */
const DEATHS_TO_FAIL = 4;

/** Why a recipient must not be in this state at the end of a run; undefined: it may. */
function faultOfState(
  state: string,
  { attempts, reason, entry, deaths }: StateFacts,
): Pick<Finding, "kind" | "what"> | undefined {
  const has = (outcome: AttemptRow["outcome"]) => attempts.some((attempt) => attempt.outcome === outcome);
  const without = (what: string) => ({ kind: "state_without_reason" as const, what });
  switch (state) {
    case "sent": {
      const sent = attempts.filter(({ outcome }) => outcome === "sent").length;
      return sent === 1 ? undefined : without(`is sent, by ${sent} attempts`);
    }
    case "bounced":
      return has("bounced") ? undefined : without("is bounced, and no attempt says why");
    case "held":
      if (!entry.holds) return without("is held, and nobody has asked for it");
      return has("uncertain") ? undefined : without("is held, and no attempt is uncertain");
    case "canceled":
      return entry.canceled === undefined ? without(`is canceled by nobody: ${reason}`) : undefined;
    case "failed":
      if (!/^The relay has died \d+ times in a row with this mail in flight/.test(reason ?? "")) break;
      return deaths < DEATHS_TO_FAIL
        ? without(`is failed for the deaths of relays, of which there were ${deaths}`)
        : undefined;
  }
  // Whatever else is open at the end waits for nothing; nothing here expires.
  return { kind: "lost", what: `is ${state} at the end (${reason})` };
}

/** A row of the queue stands for open recipients, and for nothing else. */
function judgeQueueRow({ queued, recipients }: MailRow, tell: Tell): void {
  const isOpen = recipients.some(({ state }) => ["queued", "deferred", "held"].includes(state));
  if (isOpen !== (queued !== undefined)) {
    tell("states_disagree", isOpen ? "is open and not in the queue" : "is final and in the queue");
  }
}

/** One copy, for people. */
export function tellCopy({ relay, connection, time, receivedMs, answer }: Copy): string {
  const at = new Date(receivedMs).toISOString().slice(11, 23);
  return `the copy by relay ${relay}, connection ${connection}, time ${time}, at ${at}, answered ${
    answer?.code ?? "never"
  }`;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
