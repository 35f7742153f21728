import type { Safety } from "../delivery/safety.ts";
import type { RoutingRule } from "../routes/routing.ts";
import { routesFor } from "../routes/routing.ts";
import { SettingsError } from "./settings_error.ts";
import type { Values } from "./table.ts";

/** Reads what keeps the mails of a test system from people. */
export function readSafety(values: Values, routing: readonly RoutingRule[]): Safety {
  const { redirectTo = [], allowedRecipients: allowed, environment } = values;
  if (/^prod(?:uction)?$/i.test(environment ?? "")) {
    throw new SettingsError(
      "RELAY_ENVIRONMENT",
      `Cannot use RELAY_ENVIRONMENT=${environment}: it would stand before the subject of every mail; in production leave it out`,
    );
  }
  checkWay(redirectTo, routing);
  return { redirectTo, allowed, environment };
}

/** The clauses for the first line of the log, and for `doctor`. */
export function describeSafety({ redirectTo, allowed, environment }: Safety): readonly string[] {
  const patterns = allowed?.join(", ");
  return [
    ...(redirectTo.length === 0 ? [] : [
      `${patterns === undefined ? "ALL MAIL" : `ALL MAIL THAT IS NOT FOR ${patterns} ALONE`} IS REDIRECTED to ${
        redirectTo.join(", ")
      }`,
    ]),
    ...(redirectTo.length > 0 || patterns === undefined
      ? []
      : [`MAIL GOES ONLY TO ${patterns}, all others are suppressed`]),
    ...(environment === undefined ? [] : [`subjects begin with [${environment}]`]),
  ];
}

/** A copy is one mail: it cannot take two ways. */
function checkWay([first, ...others]: readonly string[], routing: readonly RoutingRule[]): void {
  if (first === undefined) return;
  // What a rule says of the sender or of the stream is the same for all of them.
  const wayOf = (to: string) =>
    routing.filter(({ match }) =>
      match.of !== "to" || routesFor([{ match, routes: ["x"] }], { from: to, to }) !== undefined
    );
  const way = wayOf(first);
  for (const other of others) {
    const its = wayOf(other);
    if (its.length === way.length && its.every((rule, index) => rule === way[index])) continue;
    throw new SettingsError(
      "RELAY_REDIRECT_TO",
      `Cannot use RELAY_REDIRECT_TO: by RELAY_ROUTES ${first} and ${other} have different routes, and a copy is one mail; ` +
        "name addresses that the same rules fit",
    );
  }
}
