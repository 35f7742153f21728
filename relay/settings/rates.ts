import { domainOf, parseAddress } from "../../src/address.ts";
import { isStream } from "../../src/stream.ts";
import { formatRateLimit, parseLimit, type RateLimit, type Scope } from "../limits/rate_limit.ts";
import type { Limit } from "../limits/throttle.ts";
import { type Kind, Wrong } from "./kind.ts";
import type { RouteNames } from "./routes.ts";
import { SettingsError } from "./settings_error.ts";

const FORM = "60/m: a number, /, and s, m, h, d or a duration from 1s to 1d";

/** Limits of one route, as they stand in its URL. */
export const rate: Kind<readonly Limit[]> = {
  form: "limits such as 60/m, joined by commas",
  parse: (text) => {
    const limits: Limit[] = [];
    for (const part of text.split(",").map((it) => it.trim())) {
      const limit = parseLimit(part);
      if (limit === undefined) return new Wrong(`${JSON.stringify(part)} is no limit`, `write it as ${FORM}`);
      limits.push(limit);
    }
    return limits;
  },
};

/**
 * Reads `RELAY_RATE`, and adds what the URLs of the routes limit.
 *
 * @example A limit of all mail, and one for each domain
 * ```ts
 * import { parseRates } from "./rates.ts";
 * const limits = parseRates("60/m, domain:*=10/6s", new Map([["default", "SMTP_URL"]]));
 * console.log(limits.map(({ count, periodMs }) => `${count} in ${periodMs} ms`)); // [ "60 in 60000 ms", "10 in 6000 ms" ]
 * ```
 *
 * @throws {SettingsError} for what is no limit, or one that can never be reached
 */
export function parseRates(
  written: string | undefined,
  routes: RouteNames,
  ofRoutes: readonly RateLimit[] = [],
): readonly RateLimit[] {
  const own = written === undefined ? [] : written.split(",").map((text) => parseRate(text.trim(), [...routes.keys()]));
  const limits = [...own, ...ofRoutes];
  for (const [index, limit] of limits.entries()) {
    const lower = limits.find((other, at) => at !== index && outdoes(other, limit, at < index));
    if (lower === undefined) continue;
    const because = `the limit ${formatRateLimit(limit)} can never be reached, because ${
      formatRateLimit(lower)
    } is not higher`;
    const { scope } = limit;
    const variable = own.includes(limit) || scope.of !== "route" ? undefined : routes.get(scope.name);
    throw refuse(because, "remove one of them", variable);
  }
  return limits;
}

function parseRate(text: string, routes: readonly string[]): RateLimit {
  const shown = JSON.stringify(text);
  const at = text.lastIndexOf("=");
  const limit = parseLimit(text.slice(at + 1).trim());
  if (limit === undefined) {
    throw refuse(
      `${shown} holds no limit`,
      `write it as ${FORM}, after route:NAME=, stream:NAME= or domain:NAME= if it is not for all mail`,
    );
  }
  return { scope: at < 0 ? { of: "all" } : parseScope(text.slice(0, at).trim(), { shown, routes }), ...limit };
}

function parseScope(
  text: string,
  { shown, routes }: { readonly shown: string; readonly routes: readonly string[] },
): Scope {
  const [, of, value = ""] = /^(\w+):(.*)$/s.exec(text) ?? [];
  if (of === "stream") {
    if (isStream(value)) return { of, name: value };
    throw refuse(
      `${shown} has no name that a stream could have`,
      "write 1 to 63 of a-z 0-9 . _ -, a letter or digit first, such as stream:bulk=600/m",
    );
  }
  if (of === "route") {
    const name = value.toLowerCase();
    if (routes.includes(name)) return { of, name };
    throw refuse(
      `${shown} names the route ${JSON.stringify(value)}, which is not there`,
      `write ${routes.join(" or ")}`,
    );
  }
  if (of !== "domain") {
    throw refuse(
      `${shown} begins with none of route:, stream: and domain:`,
      "write 60/m for all mail, route:NAME=60/m, stream:bulk=60/m or domain:example.com=60/m",
    );
  }
  if (value === "*") return { of, domain: "*" };
  if (!value.includes("@") && parseAddress(`a@${value}`).ok) return { of, domain: domainOf(`a@${value}`) };
  throw refuse(
    `${shown} has no domain that mail could have`,
    "write domain:example.com for one domain, or domain:* for each that has no limit of its own",
  );
}

/**
 * Whether one limit of the same mail lets no more through than the other, in short and in long. Of two that are equal,
 * the earlier.
 */
function outdoes(one: RateLimit, other: RateLimit, isEarlier: boolean): boolean {
  const scope = ({ scope: its }: RateLimit) => JSON.stringify(its);
  if (scope(one) !== scope(other)) return false;
  const rates = [one.count / one.periodMs, other.count / other.periodMs] as const;
  if (one.count === other.count && rates[0] === rates[1]) return isEarlier;
  return one.count <= other.count && rates[0] <= rates[1];
}

function refuse(because: string, fix: string, variable = "RELAY_RATE"): SettingsError {
  return new SettingsError(variable, `Cannot use ${variable}: ${because}; ${fix}`);
}
