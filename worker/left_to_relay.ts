import type { MailContent } from "../relay/delivery/transport.ts";
import { pausesOfThrottle } from "../relay/limits/pause.ts";
import { type Routed, routesFor, type RoutingRule } from "../relay/routes/routing.ts";
import { needsSmtpUtf8 as contentNeedsSmtpUtf8, sizeOf } from "../relay/smtp/content.ts";
import { needsSmtpUtf8 } from "../relay/smtp/path.ts";

// DESIGN: what a Worker cannot carry faithfully goes back untried, as mail that waits for a throttle: `relay:` and why.
// The queue goes on past it, since it is not due; any relay beside the Worker finds a throttle that it does not know,
// makes its mail due and sends it. Without a relay it is looked at again within the hour, with the settings of then,
// until its age ends it.

const PREFIX = "relay:";

/** What decides it. */
export interface CarryRules {
  readonly maxBytes: number;
  /** Whose first route is `relay` goes by a relay. */
  readonly routing: readonly RoutingRule[];
}

/** A recipient's mail. */
export interface CarriedMail extends Routed {
  readonly content: MailContent;
  readonly returnPath: string;
}

/** The name of what a Worker leaves alone, in rules of routing. */
export const RELAY_ROUTE = "relay";

/** Why a recipient's mail is left to a relay, as the throttle that it waits for; undefined: the Worker can carry it. */
export function leftToRelay(mail: CarriedMail, { maxBytes, routing }: CarryRules): string | undefined {
  if (routesFor(routing, mail)?.[0] === RELAY_ROUTE) return `${PREFIX}its route is a relay's`;
  if (needsSmtpUtf8(mail.returnPath) || needsSmtpUtf8(mail.to) || contentNeedsSmtpUtf8(mail.content)) {
    return `${PREFIX}an address needs SMTPUTF8`;
  }
  const sizeBytes = sizeOf(mail.content);
  return sizeBytes > maxBytes ? `${PREFIX}it has more than ${maxBytes} bytes` : undefined;
}

/** The limit of a relay that a message has waited for, and goes on to wait for: only relays know it. */
export function limitOfRelay(waitedFor: string | null): string | undefined {
  if (waitedFor === null || waitedFor.startsWith(PREFIX)) return undefined;
  return pausesOfThrottle(waitedFor) === undefined ? waitedFor : undefined;
}
