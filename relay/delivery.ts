import type { Mailbox } from "../src/address.ts";
import type { Envelope } from "../src/envelope.ts";
import type { Mail } from "../src/mime/compose.ts";
import type { Content, Contents } from "./contents.ts";
import { mailContent } from "./mail_content.ts";
import {
  type AttemptFacts,
  expiryReason,
  type NextState,
  nextState,
  type RetryRules,
  UNCERTAIN_DELAY_MS,
} from "./policy.ts";
import type { ClaimedMessage, Settlement } from "./queue.ts";
import type { MailContent, Outcome, RouteTrouble, Transport } from "./transport.ts";

/** What became of one claimed message: rows to write, or a route that was out. */
export type Delivered =
  | { readonly kind: "settle"; readonly settlement: Settlement }
  | { readonly kind: "unavailable"; readonly trouble: RouteTrouble };

/** What a delivery needs; time and chance are arguments. */
export interface DeliveryContext {
  readonly contents: Contents;
  readonly transport: Transport;
  readonly rules: RetryRules;
  /** The envelope's reverse-path for messages without one of their own; undefined: the From address. */
  readonly returnPath: string | undefined;
  readonly now: () => number;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** Takes one claimed message through the transport: an outcome for each open recipient, or none at all. */
export async function deliver(message: ClaimedMessage, context: DeliveryContext): Promise<Delivered> {
  const facts = attemptFacts(message);
  const expired = expiryReason(facts, { rules: context.rules, nowMs: context.now() });
  if (expired !== undefined) return ended(message, "expired", expired);

  const content = await context.contents.get(message.contentId);
  if (content === undefined) return ended(message, "failed", "Its content is no longer stored");
  const attachments = content.hasAttachments ? await context.contents.attachments(message.contentId) : [];
  let wire: MailContent;
  try {
    wire = mailContent(toMail(message, content, attachments), ({ index, encoding }) => {
      const { position = index, sizeBytes = 0 } = attachments[index] ?? {};
      return context.contents.encoded(message.contentId, { position, sizeBytes, encoding });
    });
  } catch (error) {
    return ended(message, "failed", error instanceof Error ? error.message : String(error));
  }

  const delivery = await context.transport.send(toEnvelope(message, context.returnPath), wire, context.signal);
  if (delivery.kind === "unavailable") return delivery;
  const next = delivery.outcomes.map((outcome) => {
    return {
      outcome,
      state: nextState(outcome, facts, { rules: context.rules, nowMs: context.now(), random: context.random() }),
    };
  });
  return { kind: "settle", settlement: settlementOf(message, next) };
}

/** The envelope of the recipients that are still open. */
export function toEnvelope(message: ClaimedMessage, returnPath: string | undefined): Envelope {
  return {
    id: message.id,
    reversePath: message.returnPath ?? returnPath ?? message.from.email,
    recipients: message.recipients.filter((recipient) => recipient.open),
  };
}

function attemptFacts(message: ClaimedMessage): AttemptFacts {
  return {
    number: message.attempt,
    ageFromMs: Math.max(message.firstDueMs, message.retriedAtMs ?? 0),
    expiresAtMs: message.expiresAtMs ?? undefined,
    onUncertain: message.onUncertain ?? undefined,
  };
}

function toMail(message: ClaimedMessage, content: Content, attachments: Mail["attachments"]): Mail {
  const visible = (kind: "to" | "cc") =>
    message.recipients.filter((recipient) => recipient.kind === kind).map(toMailbox);
  return {
    id: message.id,
    date: new Date(message.firstDueMs),
    from: toMailbox(message.from),
    to: visible("to"),
    cc: visible("cc"),
    replyTo: message.replyTo.map(toMailbox),
    subject: content.subject,
    ...(content.text === null ? {} : { text: content.text }),
    ...(content.html === null ? {} : { html: content.html }),
    headers: content.headers,
    attachments,
    ...(message.unsubscribe === null ? {} : { unsubscribe: message.unsubscribe }),
  };
}

function toMailbox({ email, name }: { readonly email: string; readonly name?: string | null }): Mailbox {
  return name ? { email, name } : { email };
}

/** All open recipients end in the same state, without an attempt. */
function ended(message: ClaimedMessage, state: "expired" | "failed", reason: string): Delivered {
  const open = message.recipients.filter((recipient) => recipient.open);
  const recipients = open.map(({ position }) => ({ position, state, reason }));
  const next = stillHeld(message) ? "held" : undefined;
  return { kind: "settle", settlement: { ...lease(message), next, outcomes: [], recipients } };
}

interface Judged {
  readonly outcome: Outcome;
  readonly state: NextState;
}

function settlementOf(message: ClaimedMessage, judged: readonly Judged[]): Settlement {
  const delays = judged.flatMap(({ state }) => state.state === "deferred" ? [state.delayMs] : []);
  // The row wakes for the first recipient that is due, and all that are open go out with it: none that is uncertain before its time.
  const uncertain = judged.flatMap(({ outcome, state }) =>
    outcome.kind === "uncertain" && state.state === "deferred" ? [state.delayMs] : []
  );
  const notBeforeMs = uncertain.length > 0 ? Math.min(UNCERTAIN_DELAY_MS, ...uncertain) : 0;
  const held = judged.some(({ state }) => state.state === "held") || stillHeld(message);
  return {
    ...lease(message),
    next: delays.length > 0 ? Math.max(Math.min(...delays), notBeforeMs) : held ? "held" : undefined,
    outcomes: judged.map(({ outcome }) => outcome),
    recipients: judged.map(({ outcome, state }) => ({
      position: outcome.position,
      state: state.state,
      reason: state.reason,
    })),
  };
}

function lease({ seq, lease, attempt }: ClaimedMessage): Pick<Settlement, "seq" | "lease" | "attempt"> {
  return { seq, lease, attempt };
}

function stillHeld(message: ClaimedMessage): boolean {
  return message.recipients.some((recipient) => recipient.held);
}
