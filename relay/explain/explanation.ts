import { isOverridable } from "../../src/suppression.ts";
import { describePause, pauseOf, resumeOf } from "../limits/pause.ts";
import { parseLimit } from "../limits/rate_limit.ts";
import { readyAtMs } from "../limits/throttle.ts";
import { formatMoment } from "../time/moment.ts";
import { inDatabase, retryOf } from "./explained_command.ts";
import {
  type ExplainedMail,
  type ExplainedRecipient,
  type ExplainedRow,
  MOST_AHEAD,
  type SuppressionRow,
  type Surroundings,
} from "./explained_mail.ts";

// Why a mail is not going out: from what the database and the relay know to sentences for people. Pure: it reads
// nothing itself.

/** One reason. The code is for programs; the fix, where a person can do something, is a sentence or a command. */
export interface Reason {
  readonly code: ReasonCode;
  readonly text: string;
  readonly fix?: string;
}

export type ReasonCode =
  | "copy"
  | "no_relay"
  | "sending"
  | "dead_relay"
  | "held"
  | "paused"
  | "suppressed"
  | "overridden"
  | "scheduled"
  | "digest"
  | "throttled"
  | "left_to_relay"
  | "route_out"
  | "deferred"
  | "tried_alone"
  | "given_back"
  | "due"
  | "final";

/** Before the reason, in the throttle of a mail that a Worker cannot carry (worker/left_to_relay.ts). */
const LEFT = "relay:";

const OPEN: ReadonlySet<string> = new Set(["scheduled", "queued", "sending", "deferred"]);

/**
 * Says why a mail is not going out: what keeps it back first comes first, and what people can do about it with it. A
 * mail that has ended has one reason for each recipient.
 */
export function explain(mail: ExplainedMail, around: Surroundings): readonly Reason[] {
  const { row } = mail;
  if (row === undefined) return [...inDigest(mail), ...ends(mail, around)];
  const open = mail.recipients.filter(({ state }) => OPEN.has(state));
  const others = [
    ...unserved(around),
    ...held(mail, around),
    ...leased(row, around),
    ...paused(mail, { open, around }),
    ...suppressed(mail, { open, around }),
    ...(open.length === 0 ? [] : routesOut(around)),
    ...waits(mail, { open, row, around }),
  ];
  const ended = mail.recipients.some(({ state }) => !OPEN.has(state) && state !== "held") ? ends(mail, around) : [];
  return [...others, ...ended];
}

/** What becomes of an item, its digest says. */
function inDigest({ id, digest }: ExplainedMail): readonly Reason[] {
  if (digest?.id === undefined || digest.id === id) return [];
  return [{
    code: "digest",
    text: `It is in the digest ${digest.key}, which is the mail ${digest.id}.`,
    fix: `mailchute explain ${digest.id}`,
  }];
}

interface Context {
  readonly open: readonly ExplainedRecipient[];
  readonly around: Surroundings;
}

function unserved(around: Surroundings): readonly Reason[] {
  const { copyOf, database, relays, now } = around;
  if (copyOf !== undefined) {
    return [{
      code: "copy",
      text: `The database ${database} is a copy: its queue is drained at ${copyOf}, and nothing is sent from here.`,
      fix: `mailchute adopt-copy --keep${
        inDatabase(around)
      } (it has moved here) or --discard (cancel the mails of the copy)`,
    }];
  }
  if (relays.alive > 0) return [];
  const last = relays.last === undefined
    ? "none has served it in the last day"
    : `the last word was from ${relays.last.host} at ${formatMoment(relays.last.at, now)}`;
  return [{ code: "no_relay", text: `No relay serves the database ${database}: ${last}.`, fix: "mailchute run" }];
}

function held(mail: ExplainedMail, around: Surroundings): readonly Reason[] {
  const { id, messageId, recipients, attempts } = mail;
  const waiting = recipients.filter(({ state }) => state === "held").map(({ address }) => address);
  if (waiting.length === 0) return [];
  const last = attempts.findLast(({ outcome }) => outcome === "uncertain");
  const because = last === undefined ? "" : ` (attempt ${last.number}: ${last.reply})`;
  return [{
    code: "held",
    text: `It is held for a person: nobody knows whether ${waiting.join(", ")} got it${because}.`,
    fix: `look for ${messageId} in the log of the SMTP server; then mailchute settle --sent ${id}${
      inDatabase(around)
    } if it has the mail, else ${retryOf(mail, { what: "send it again", around })}`,
  }];
}

function leased({ holder, due }: ExplainedRow, { now }: Surroundings): readonly Reason[] {
  if (holder === undefined) return [];
  const who = `the relay on ${holder.host} (pid ${holder.pid})`;
  const until = due === undefined ? "" : formatMoment(due, now);
  if (holder.isAlive) {
    return [{ code: "sending", text: `It is being sent: ${who} holds it, with a lease until ${until}.` }];
  }
  return [{
    code: "dead_relay",
    text: `It was claimed by ${who}, which has not been heard of since ${formatMoment(holder.seenAt, now)}; ` +
      `another relay takes it over when the lease ends, at ${until}.`,
    fix: "start that relay again with its RELAY_STATE_DIR: it takes its mail back at once",
  }];
}

function paused(mail: ExplainedMail, { open, around }: Context): readonly Reason[] {
  const keys = new Set(around.pauses.map(({ key }) => key));
  const { app, stream = null, batchId: batch = null } = mail;
  const its = new Set(open.map(({ address }) => pauseOf({ app, stream, batch, to: address }, keys)));
  return around.pauses.filter(({ key }) => its.has(key)).map(({ key, since, by, reason }) => ({
    code: "paused",
    text: `${describePause(key)} is paused since ${formatMoment(since, around.now)} by ${by}${
      reason === undefined ? "" : `: ${reason}`
    }.`,
    fix: `mailchute ${resumeOf(key)}`,
  }));
}

function suppressed(
  { suppressions, overrideSuppression }: ExplainedMail,
  { open, around }: Context,
): readonly Reason[] {
  const addresses = new Set(open.map(({ address }) => address.toLowerCase()));
  return suppressions.filter(({ address }) => addresses.has(address)).map((row) => {
    const why = describeRow(row, around.now);
    if (overrideSuppression && isOverridable(row.reason)) {
      return { code: "overridden", text: `${row.address} is ${why}; that does not stop it (overrideSuppression).` };
    }
    return {
      code: "suppressed",
      text: `${row.address} will end as suppressed: ${why}.`,
      fix: `mailchute suppress --remove ${row.address} --scope ${row.scope}${inDatabase(around)}`,
    };
  });
}

function describeRow({ scope, reason, by, createdAt, until }: SuppressionRow, now: Date): string {
  const end = until === undefined ? "" : `, until ${formatMoment(new Date(until), now)}`;
  return `on the suppression list for ${scope} since ${
    formatMoment(new Date(createdAt), now)
  }, by ${by}: ${reason}${end}`;
}

/** What a row waits for that nobody holds. */
function waits(
  mail: ExplainedMail,
  { open, row, around }: Context & { readonly row: ExplainedRow },
): readonly Reason[] {
  if (row.holder !== undefined || open.length === 0) return [];
  const { now } = around;
  const reasons: Reason[] = [];
  const isLater = row.due !== undefined && row.due > now;
  if (mail.digest !== undefined && mail.digest.id === undefined && mail.digest.items === undefined) {
    return [waitsForDigest(mail, mail.digest, around)];
  }
  if (mail.state === "scheduled" && mail.scheduledAt !== undefined) {
    const at = formatMoment(new Date(mail.scheduledAt), now);
    const text = `It is scheduled for ${at}.`;
    return [{ code: "scheduled", text, fix: retryOf(mail, { what: "send it now", around }) }];
  }
  if (row.throttle?.startsWith(LEFT)) {
    reasons.push({
      code: "left_to_relay",
      text: `A Worker has left it to a relay: ${row.throttle.slice(LEFT.length)}.`,
      fix: "mailchute run (a relay takes it within 30 seconds)",
    });
  } else if (row.throttle !== undefined && !row.throttle.startsWith("paused:")) {
    reasons.push(throttled(row.throttle, around));
  }
  const deferred = open.filter(({ state }) => state === "deferred");
  const last = mail.attempts.findLast(({ address }) => deferred.some((recipient) => recipient.address === address));
  if (deferred.length > 0) {
    const next = row.due === undefined ? "" : ` The next attempt is due at ${formatMoment(row.due, now)}.`;
    const said = last === undefined
      ? "An attempt did not succeed."
      : `Attempt ${last.number} for ${last.address} by ${last.route} at ${
        formatMoment(new Date(last.at), now)
      } was ${last.outcome}: ${last.reply}.`;
    reasons.push({ code: "deferred", text: said + next, fix: retryOf(mail, { what: "try it now", around }) });
  } else if (isLater && row.throttle === undefined && row.due !== undefined) {
    const at = formatMoment(row.due, now);
    reasons.push({
      code: "given_back",
      text: `A relay gave it back untried: its route was out or full. It is looked at again at ${at}.`,
    });
  }
  if (row.crashes >= 3) {
    reasons.push({
      code: "tried_alone",
      text: `It was in flight at ${row.crashes} crashes of a relay in a row, and is tried alone.`,
    });
  }
  if (!isLater && row.due !== undefined && row.throttle === undefined) {
    const order = row.ahead === 0
      ? "it is the next of its lane: a relay takes it at its next claim"
      : `${row.ahead < MOST_AHEAD ? row.ahead : `${MOST_AHEAD} or more`} mails of its lane stand before it`;
    reasons.push({ code: "due", text: `It is due since ${formatMoment(row.due, now)}, and ${order}.` });
  }
  return reasons;
}

function waitsForDigest(mail: ExplainedMail, { key }: { readonly key: string }, around: Surroundings): Reason {
  const { now } = around;
  const end = mail.scheduledAt === undefined ? undefined : new Date(mail.scheduledAt);
  const until = end === undefined || end <= now
    ? "a relay closes it when it has ended"
    : `it ends at ${formatMoment(end, now)} at the latest`;
  return {
    code: "digest",
    text: `It waits for the window of the digest ${key}: ${until}.`,
    fix: retryOf(mail, { what: "send it now, on its own", around }),
  };
}

function throttled(throttle: string, { throttleFullAt, now }: Surroundings): Reason {
  const limit = parseLimit(throttle.slice(throttle.lastIndexOf("=") + 1));
  const readyAt = limit === undefined || throttleFullAt === undefined
    ? now
    : new Date(Math.max(now.getTime(), readyAtMs(limit, throttleFullAt.getTime())));
  const token = readyAt > now
    ? `a token comes at ${formatMoment(readyAt, now)}`
    : "there is a token now, and others are before it";
  return {
    code: "throttled",
    text: `It waits for the limit ${throttle}: ${token}.`,
    fix: "RELAY_RATE, or ?rate= of the route's SMTP_URL, sets the limit",
  };
}

function routesOut({ routes, now }: Surroundings): readonly Reason[] {
  return routes.filter(({ state }) => state !== "closed").map(({ name, since, reason }) => {
    const from = since === undefined ? "" : ` since ${formatMoment(since, now)}`;
    const because = reason === undefined ? "" : `: ${reason}`;
    return {
      code: "route_out",
      text: `The route ${name} is out${from}${because}.`,
      fix: "mailchute doctor (says what to change)",
    };
  });
}

function ends(mail: ExplainedMail, around: Surroundings): readonly Reason[] {
  const { now } = around;
  return mail.recipients.filter(({ state }) => !OPEN.has(state) && state !== "held").map((recipient) => {
    const { address, state, reason, at } = recipient;
    const because = reason === undefined ? "" : `: ${reason}`;
    const row = mail.suppressions.find((it) => it.address === address.toLowerCase());
    const still = state !== "suppressed"
      ? ""
      : row === undefined
      ? "; it is not on the list any more"
      : `; ${describeRow(row, now)}`;
    const text = `${address} is ${state} since ${formatMoment(new Date(at), now)}${because}${still}.`;
    if (!["bounced", "failed", "expired", "canceled"].includes(state)) return { code: "final", text };
    return { code: "final", text, fix: retryOf(mail, { what: "try it once more, once the cause is gone", around }) };
  });
}
