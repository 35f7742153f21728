import { sameAddress } from "../address.ts";
import { MailchuteError } from "../error.ts";
import { nextState } from "../policy.ts";
import type { FakeDatabase } from "./fake_database.ts";
import { type FakeAttempt, type FakeMail, type FakeRecipient, isOpen } from "./fake_mail.ts";
import { STREAMS } from "./fake_streams.ts";

/**
 * What a relay does with a mail. `sending`: it holds it, and `cancel` comes too late. `sent`, `deferred`, `bounced`,
 * `uncertain`: an attempt that ends so; who is `uncertain` is tried again later, or held when the mail asks for it.
 * `failed`: it cannot be handed over. `expired`: its time is over.
 */
export type Simulated = "sending" | "sent" | "deferred" | "bounced" | "uncertain" | "failed" | "expired";

/** What the server says in the attempt, instead of the usual. */
export interface SimulatedReply {
  /** 200 to 599. */
  readonly code?: number | undefined;
  /** Such as `5.1.1`. */
  readonly enhanced?: string | undefined;
  /** Its words, or for `failed` and `expired` the reason. */
  readonly reply?: string | undefined;
}

type Attempted = Exclude<Simulated, "sending" | "failed" | "expired">;

/** What a relay with the usual settings writes down. */
const USUAL: Readonly<Record<Attempted, Omit<FakeAttempt, "number" | "atMs" | "position" | "outcome" | "route">>> = {
  sent: { phase: "final", code: 250, enhanced: "2.0.0", reply: "OK" },
  deferred: { phase: "rcpt", blame: "recipient", code: 450, enhanced: "4.2.0", reply: "Try again later" },
  bounced: { phase: "rcpt", blame: "recipient", code: 550, enhanced: "5.1.1", reply: "No such user" },
  uncertain: { phase: "final", blame: "network", reply: "The server closed the connection" },
};
const REASONS = {
  failed: "No route: no rule of RELAY_ROUTES fits this recipient",
  expired: "Its expiresAt has passed",
} as const;
const OUTCOMES: readonly string[] = ["sending", ...Object.keys(USUAL), ...Object.keys(REASONS)];
const RULES = { maxAgeMs: 5 * 86_400_000, maxAttempts: undefined, onUncertain: "retry" } as const;
const WHAT = "Cannot simulate";

/**
 * Does to the open recipients of a mail, or to all with an address, what a relay would.
 *
 * @param which an id or an address
 * @throws {MailchuteError} `validation_error` when nobody open is meant
 */
export function simulate(
  database: FakeDatabase,
  which: string,
  options: { readonly outcome: Simulated; readonly reply: SimulatedReply; readonly nowMs: number },
): void {
  const { outcome } = options;
  if (!OUTCOMES.includes(outcome)) refuse("outcome", `it is none of ${OUTCOMES.join(", ")}`);
  checkReply(options.reply);
  const id = database.carrierOf(which)?.id;
  // What is in a digest is in the queue no longer.
  const chosen = database.mails().filter(({ dueMs }) => dueMs !== undefined).map((mail) => ({
    mail,
    recipients: mail.recipients.filter((recipient) =>
      isOpen(recipient) && recipient.state !== "held" && (mail.id === id || sameAddress(recipient.address, which))
    ),
  })).filter(({ recipients }) => recipients.length > 0);
  if (chosen.length === 0) {
    refuse("which", "no mail with this id, and no recipient with this address, waits to be sent");
  }
  const listed = (address: string) => database.suppressionOf(address);
  for (const { mail, recipients } of chosen) {
    // An item for which something is simulated goes out alone.
    const item = mail.item === undefined ? {} : { item: { digest: mail.id } };
    const change = outcome === "sending"
      ? { isLeased: true }
      : outcome in REASONS
      ? ended(mail, recipients, options)
      : attempted(mail, recipients, { ...options, listed });
    database.update(mail, { ...change, ...item });
  }
}

const REPLY: Readonly<Record<keyof SimulatedReply, readonly [isOne: (value: unknown) => boolean, what: string]>> = {
  code: [(code) => Number.isInteger(code) && Number(code) >= 200 && Number(code) <= 599, "an integer from 200 to 599"],
  enhanced: [(enhanced) => /^[245]\.\d{1,3}\.\d{1,3}$/.test(String(enhanced)), "a status such as 5.1.1 (RFC 3463)"],
  reply: [(reply) => typeof reply === "string", "a text"],
};

function checkReply(reply: object): void {
  for (const [name, value] of Object.entries(reply)) {
    if (!Object.hasOwn(REPLY, name)) refuse(name, `a reply has ${Object.keys(REPLY).join(", ")}`);
    const [isOne, what] = REPLY[name as keyof SimulatedReply];
    if (value !== undefined && !isOne(value)) refuse(name, `it is not ${what}`);
  }
}

interface Options {
  readonly outcome: Simulated;
  readonly reply: SimulatedReply;
  readonly nowMs: number;
}

function ended(
  mail: FakeMail,
  chosen: readonly FakeRecipient[],
  { outcome, reply, nowMs }: Options,
): Partial<FakeMail> {
  const state = outcome as keyof typeof REASONS;
  const reason = reply.reply ?? REASONS[state];
  return settled(mail, new Map(chosen.map(({ position }) => [position, { state, reason }])), nowMs);
}

function attempted(
  mail: FakeMail,
  chosen: readonly FakeRecipient[],
  { outcome, reply, nowMs, listed }: Options & { readonly listed: (address: string) => string | undefined },
): Partial<FakeMail> {
  const kind = outcome as Attempted;
  const usual = USUAL[kind];
  const { onUncertain, backoffMs } = STREAMS.get(mail.message.stream) ?? {};
  const attempts: FakeAttempt[] = [];
  const next = new Map<number, Next>();
  for (const { position, address } of chosen) {
    const number = mail.attempts.filter((attempt) => attempt.position === position).length + 1;
    const facts = {
      number,
      ageFromMs: mail.firstDueMs,
      expiresAtMs: mail.expiresAtMs,
      onUncertain: mail.message.onUncertain ?? onUncertain,
      backoffMs,
    };
    const said = Object.fromEntries(Object.entries(reply).filter(([, value]) => value !== undefined));
    attempts.push({ ...{ number, atMs: nowMs, position, outcome: kind, route: "default" }, ...usual, ...said });
    const state = nextState({ kind }, facts, { rules: RULES, nowMs, random: 0.5 });
    const why = kind === "sent" && mail.message.overrideSuppression ? listed(address) : undefined;
    const reason = `On the suppression list: ${why}; sent all the same (overrideSuppression)`;
    next.set(position, why === undefined ? state : { state: "sent", reason });
  }
  return { attempts: [...mail.attempts, ...attempts], ...settled(mail, next, nowMs) };
}

type Next = Pick<FakeRecipient, "state"> & { readonly reason?: string | undefined; readonly delayMs?: number };

/** Writes the next states, and when who is open is tried next. */
function settled(mail: FakeMail, next: ReadonlyMap<number, Next>, nowMs: number): Partial<FakeMail> {
  const recipients = mail.recipients.map((recipient) => {
    const { state, reason, delayMs = 0 } = next.get(recipient.position) ?? {};
    return state === undefined ? recipient : { ...recipient, state, reason, atMs: nowMs, dueMs: nowMs + delayMs };
  });
  const dues = recipients.filter(isOpen).map(({ state, dueMs }) => state === "held" ? Infinity : dueMs);
  return { recipients, isLeased: false, dueMs: dues.length === 0 ? undefined : Math.min(...dues) };
}

function refuse(path: string, message: string): never {
  throw new MailchuteError("validation_error", `${WHAT}: ${path}: ${message}`, { issues: [{ path, message }] });
}
