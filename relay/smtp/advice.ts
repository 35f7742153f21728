import type { Outcome, RouteTrouble } from "../delivery/transport.ts";
import type { TlsPolicy } from "./opening.ts";
import { OUTCOME_ADVICE, type OutcomeAdvice } from "./outcome_advice.ts";
import { TROUBLE_ADVICE, type TroubleAdvice } from "./trouble_advice.ts";

/** What is wrong, and what a person has to change; both half a sentence, without a full stop. */
export interface Advice {
  readonly problem: string;
  readonly fix: string;
}

/** What an advice has to know of a route. */
export interface RouteFacts {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsPolicy;
  readonly hasCredentials: boolean;
  /** The login is an access token. @default {false} */
  readonly hasToken?: boolean;
  /** We show a certificate of our own. @default {false} */
  readonly hasCertificate?: boolean;
}

/**
 * Says what a route that is out needs. Decided by code, phase and detail, never by words.
 *
 * @example
 * ```ts
 * const route = { host: "smtp.corp.example", port: 465, tls: "required", hasCredentials: true } as const;
 * const trouble = { code: "timeout", phase: "greeting", reason: "The server did not answer in time" } as const;
 * const { fix } = adviceOnTrouble(trouble, route);
 * if (fix !== "write smtps://smtp.corp.example:465 in SMTP_URL") throw new Error(fix);
 * ```
 */
export function adviceOnTrouble(trouble: RouteTrouble, route: RouteFacts): Advice {
  const rule = TROUBLE_ADVICE[trouble.code]?.find((each) => fitsTrouble(each, trouble, route));
  if (rule === undefined) return { problem: trouble.reason, fix: "set LOG_LEVEL=debug to see the whole dialogue" };
  return told(rule, trouble.reply?.code, route);
}

/**
 * Says what a recipient who was not sent to needs; undefined when all is well.
 *
 * @example
 * ```ts
 * const route = { host: "smtp.corp.example", port: 25, tls: "none", hasCredentials: false } as const;
 * const reply = { code: 554, enhanced: "5.7.1", text: "Relay access denied" };
 * const outcome = { position: 0, kind: "bounced", phase: "rcpt", blame: "recipient", reply, reason: reply.text } as const;
 * const advice = adviceOnOutcome(outcome, route);
 * if (advice?.problem !== "The server does not send mail onwards for us (554)") throw new Error(advice?.problem);
 * ```
 */
export function adviceOnOutcome(
  outcome: Outcome,
  route: RouteFacts,
): Advice & { readonly concernsMany: boolean } | undefined {
  if (outcome.kind === "sent") return undefined;
  const rule = OUTCOME_ADVICE.find((each) => fitsOutcome(each, outcome));
  if (rule === undefined) return undefined;
  return { ...told(rule, outcome.reply?.code, route), concernsMany: rule.concernsMany ?? false };
}

function fitsTrouble(rule: TroubleAdvice, trouble: RouteTrouble, route: RouteFacts): boolean {
  if (rule.phase !== undefined && rule.phase !== trouble.phase) return false;
  if (rule.detail !== undefined && !rule.detail.includes(trouble.detail ?? "")) return false;
  if (rule.hasReply !== undefined && rule.hasReply !== (trouble.reply !== undefined)) return false;
  if (rule.replyCodes !== undefined && !rule.replyCodes.includes(trouble.reply?.code ?? 0)) return false;
  if (rule.tls !== undefined && !rule.tls.includes(route.tls)) return false;
  if (rule.hasCredentials !== undefined && rule.hasCredentials !== route.hasCredentials) return false;
  if (rule.hasToken !== undefined && rule.hasToken !== (route.hasToken ?? false)) return false;
  if (rule.hasCertificate !== undefined && rule.hasCertificate !== (route.hasCertificate ?? false)) return false;
  return rule.port === undefined || rule.port === route.port;
}

function fitsOutcome(rule: OutcomeAdvice, outcome: Outcome): boolean {
  const { kind, phase, blame, reply } = outcome;
  if (rule.kind !== undefined && rule.kind !== kind) return false;
  if (rule.phase !== undefined && rule.phase !== phase) return false;
  if (rule.blame !== undefined && rule.blame !== blame) return false;
  if (rule.codes !== undefined && !rule.codes.includes(reply?.code ?? 0)) return false;
  if (rule.says !== undefined && !rule.says.test(reply?.text ?? "")) return false;
  return rule.enhanced === undefined || reply?.enhanced?.startsWith(rule.enhanced, 1) === true;
}

function told({ problem, fix }: Advice, code: number | undefined, { host, port }: RouteFacts): Advice {
  // An IPv6 address is written in brackets in a URL.
  const named = host.includes(":") ? `[${host}]` : host;
  const fill = (text: string) =>
    text.replaceAll("{host}", named).replaceAll("{port}", String(port)).replaceAll("{code}", String(code ?? ""));
  return { problem: fill(problem), fix: fill(fix) };
}
