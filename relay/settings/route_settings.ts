import type { RoutingRule } from "../routes/routing.ts";
import { DJANGO_NAMES, readDjangoEmail } from "./django_email.ts";
import type { Environment } from "./environment.ts";
import { parseRoutes } from "./routes.ts";
import { SettingsError } from "./settings_error.ts";
import { parseSmtpUrl, type SmtpSettings } from "./smtp_url.ts";
import type { Values } from "./table.ts";
import { refuse } from "./url_source.ts";

/** One configured SMTP server. */
export interface RouteSettings {
  /** As it stands in RELAY_ROUTES, in attempts and on the status page. */
  readonly name: string;
  /**
   * Where its URL stands, such as `SMTP_URL_INTERNAL`; where Django's variables describe it, what to write in their
   * place.
   */
  readonly variable: string;
  readonly smtp: SmtpSettings;
}

/** The ways out, and which mail takes which. */
export interface RoutesSettings {
  /** `default` first, when there is one, then by name. */
  readonly routes: readonly RouteSettings[];
  readonly routing: readonly RoutingRule[];
}

const FIRST = "SMTP_URL";

/** What to change is said in the words of SMTP_URL, which beside Django's variables would stop the start. */
export const IN_PLACE_OF_DJANGO: string = "SMTP_URL (in place of the EMAIL_ settings)";

/** Reads `SMTP_URL` or Django's variables (the route `default`), every `SMTP_URL_<NAME>`, and `RELAY_ROUTES`. */
export function readRoutes(values: Values, environment: Environment): RoutesSettings | undefined {
  const main = readDefault(values, environment);
  const routes: RouteSettings[] = main === undefined ? [] : [main];
  const bases = environment.names.filter((name) => name.startsWith(`${FIRST}_`) && name !== `${FIRST}_FILE`)
    .map((name) => name.replace(/_FILE$/, ""));
  for (const variable of [...new Set(bases)].sort()) {
    const name = routeName(variable);
    const url = environment.get(variable);
    if (url === undefined) continue;
    routes.push({ name, variable, smtp: parseSmtpUrl(url, { variable, readFile: environment.readFile }) });
  }
  for (const route of routes) checkConnections(route, values);
  if (routes.length > 0) {
    const variables = new Map(routes.map(({ name, variable }) => [name, variable]));
    const django = DJANGO_NAMES.find((name) => environment.has(name));
    if (django !== undefined) variables.set("default", django);
    return { routes, routing: parseRoutes(values.routes, variables) };
  }
  if (values.routes === undefined) return undefined;
  throw new SettingsError(
    "RELAY_ROUTES",
    "Cannot use RELAY_ROUTES: there is no route; set SMTP_URL and SMTP_URL_<NAME>, or remove it",
  );
}

function readDefault(values: Values, environment: Environment): RouteSettings | undefined {
  const django = DJANGO_NAMES.find((name) => environment.has(name));
  if (values.smtpUrl !== undefined && django !== undefined) {
    throw new SettingsError(
      django,
      `Cannot use both SMTP_URL and ${django}: they describe the server in two styles; remove one of them`,
    );
  }
  const { readFile } = environment;
  const name = "default";
  if (values.smtpUrl !== undefined) {
    return { name, variable: FIRST, smtp: parseSmtpUrl(values.smtpUrl.reveal(), { variable: FIRST, readFile }) };
  }
  return django === undefined
    ? undefined
    : { name, variable: IN_PLACE_OF_DJANGO, smtp: readDjangoEmail(values, readFile) };
}

function routeName(variable: string): string {
  const name = variable.slice(FIRST.length + 1).toLowerCase();
  if (name === "default") {
    throw refuse({ variable }, "the route default is what SMTP_URL describes", "call it SMTP_URL, or by another name");
  }
  if (/^[a-z0-9_]+$/.test(name)) return name;
  throw refuse(
    { variable },
    name === "" ? "it ends without a name" : `${name} cannot be a route's name`,
    "write SMTP_URL_INTERNAL, of letters, digits and _",
  );
}

/** A limit that can never be reached is one that somebody believes in. */
function checkConnections({ variable, smtp }: RouteSettings, values: Values): void {
  const connections = smtp.connections ?? values.connections;
  const { connectionsPerDomain } = smtp;
  if (connectionsPerDomain === undefined || connectionsPerDomain <= connections) return;
  throw refuse(
    { variable },
    `domain-connections=${connectionsPerDomain} is more than the ${connections} connections that the route has`,
    "lower it, or raise connections or RELAY_CONNECTIONS",
  );
}
