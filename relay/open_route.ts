import { Breaker } from "./breaker.ts";
import type { RouteSettings } from "./config.ts";
import type { Log } from "./log.ts";
import type { Route } from "./route.ts";
import { createSmtpTransport } from "./smtp/smtp.ts";
import { ehloName, smtpOptions } from "./smtp_options.ts";

/** What a route is given beside its settings. */
export interface RouteContext {
  /** RELAY_CONNECTIONS, for a URL that names no number of its own. */
  readonly connections: number;
  readonly hostname: string;
  readonly random: () => number;
  readonly log: Log;
}

/** Makes the route that the settings describe. It opens no connection before there is a mail for it. */
export function openRoute({ name, variable, smtp }: RouteSettings, context: RouteContext): Route {
  const { hostname, random, log } = context;
  const connections = smtp.connections ?? context.connections;
  return {
    ...{ name, variable, connections },
    breaker: new Breaker(random),
    transport: createSmtpTransport({
      ehloName: ehloName(hostname),
      ...smtpOptions(smtp),
      connections,
      onDialogue: (line) => log.debug("smtp", { route: name, line }),
    }),
  };
}
