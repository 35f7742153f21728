import type { RouteSettings } from "../config.ts";
import { advised } from "../delivery/advised_transport.ts";
import type { Log } from "../log.ts";
import { ehloName, smtpOptions } from "../settings/smtp_options.ts";
import { createSmtpTransport, routeFacts } from "../smtp/smtp.ts";
import type { Clock } from "../time/clock.ts";
import { Breaker } from "./breaker.ts";
import type { Route } from "./route.ts";

/** What a route is given beside its settings. */
export interface RouteContext {
  /** RELAY_CONNECTIONS, for a URL that names no number of its own. */
  readonly connections: number;
  readonly hostname: string;
  readonly random: () => number;
  readonly log: Log;
  readonly clock: Clock;
}

/** Makes the route that the settings describe. It opens no connection before there is a mail for it. */
export function openRoute({ name, variable, smtp }: RouteSettings, context: RouteContext): Route {
  const { hostname, random, log, clock } = context;
  const connections = smtp.connections ?? context.connections;
  const options = {
    ehloName: ehloName(hostname),
    ...smtpOptions(smtp),
    connections,
    onDialogue: (line: string) => log.debug("smtp", { route: name, line }),
  };
  return {
    ...{ name, variable, connections },
    breaker: new Breaker(random),
    transport: advised(createSmtpTransport(options), { route: name, variable, facts: routeFacts(options), log, clock }),
  };
}
