import { domainOf, parseAddress } from "../../src/address.ts";
import { isStream } from "../../src/stream.ts";
import { type Match, ONLY_ROUTE, routingAddress, type RoutingRule } from "../routes/routing.ts";
import { SettingsError } from "./settings_error.ts";

/** How rules are spoken of to who has written them. */
export interface RouteWords {
  /** The setting that they stand in. */
  readonly setting: string;
  /** Names of routes for examples: a special one, and one for the rest. */
  readonly examples: readonly [special: string, rest: string];
  /** The variable that would make a route; undefined: there are those that there are. */
  readonly variableOf?: (name: string) => string | undefined;
}

const OF_RELAY: RouteWords = {
  setting: "RELAY_ROUTES",
  examples: ["internal", "provider"],
  variableOf: (name) =>
    name === "default" ? "SMTP_URL" : /^\w+$/.test(name) ? `SMTP_URL_${name.toUpperCase()}` : undefined,
};

/** The routes there are, in the order of the settings, each with the variable that made it. */
export type RouteNames = ReadonlyMap<string, string>;

/**
 * Reads `RELAY_ROUTES`; undefined when it is not set, which only one route allows.
 *
 * @example Internal mail to the internal server, the rest to a provider with a backup
 * ```ts
 * import { parseRoutes } from "./routes.ts";
 * const names = new Map([["internal", "SMTP_URL_INTERNAL"], ["provider", "SMTP_URL_PROVIDER"], ["backup", "SMTP_URL_BACKUP"]]);
 * const rules = parseRoutes("to:corp.example=internal, *=provider|backup", names);
 * console.log(rules.length, rules[1]?.routes); // 2 [ "provider", "backup" ]
 * ```
 *
 * @param words for who does not know them by a relay's names
 * @throws {SettingsError} when a mail could go nowhere, or when a rule or a route would do nothing
 */
export function parseRoutes(
  written: string | undefined,
  names: RouteNames,
  words: RouteWords = OF_RELAY,
): readonly RoutingRule[] {
  if (written === undefined) return withoutRules(names);
  const refuse = refuserOf(words);
  const { setting, variableOf, examples: [, rest] } = words;
  const rules: RoutingRule[] = [];
  for (const text of written.split(",").map((part) => part.trim())) {
    const rule = parseRule(text, names, words);
    const before = rules.find(({ match }) => covers(match, rule.match));
    if (before !== undefined) {
      const earlier = formatMatch(before.match);
      throw refuse(
        `the rule ${JSON.stringify(text)} can never match, because ${earlier} before it takes all that it could`,
        before.match.of === "any" ? "write * last" : "remove it or move it forward",
      );
    }
    rules.push(rule);
  }
  if (rules.at(-1)?.match.of !== "any") {
    if (!names.has("default")) {
      const since = variableOf === undefined ? "" : ", since there is no SMTP_URL";
      throw refuse(
        `mail that no rule fits has no route${since}`,
        variableOf === undefined ? `end it with *=${rest}` : "end it with *= and a route",
      );
    }
    rules.push(...ONLY_ROUTE);
  }
  for (const [name, variable] of names) {
    if (rules.some(({ routes }) => routes.includes(name))) continue;
    throw new SettingsError(
      variable,
      `Cannot use ${variable}: no rule of ${setting} names the route ${name}; add one, or remove ${variable}`,
    );
  }
  return rules;
}

/** Writes rules as they stand in `RELAY_ROUTES`. */
export function formatRoutes(rules: readonly RoutingRule[]): string {
  return rules.map(({ match, routes }) => `${formatMatch(match)}=${routes.join("|")}`).join(", ");
}

function withoutRules(names: RouteNames): readonly RoutingRule[] {
  const [first, second] = [...names];
  if (second !== undefined) {
    const [name, variable] = names.has("default") && first?.[0] === "default" ? second : first ?? second;
    throw new SettingsError(
      "RELAY_ROUTES",
      `Cannot use ${variable} without RELAY_ROUTES: nothing says which mail takes the route ${name}; ` +
        `set RELAY_ROUTES, for example to:corp.example=${name}, *=${
          [...names.keys()].find((it) => it !== name) ?? name
        }`,
    );
  }
  return first === undefined ? ONLY_ROUTE : [{ match: { of: "any" }, routes: [first[0]] }];
}

function parseRule(text: string, names: RouteNames, words: RouteWords): RoutingRule {
  const shown = JSON.stringify(text);
  const refuse = refuserOf(words);
  const { variableOf, examples: [special, rest] } = words;
  // The last one: a local part may hold another.
  const at = text.lastIndexOf("=");
  if (at < 1 || at === text.length - 1) {
    throw refuse(`the rule ${shown} is not of the form match=route`, `write to:corp.example=${special}, *=${rest}`);
  }
  const match = parseMatch(text.slice(0, at).trim(), shown, words);
  const [first = "", ...others] = text.slice(at + 1).split("|").map((name) => name.trim().toLowerCase());
  const routes: [string, ...string[]] = [first, ...others];
  for (const [index, name] of routes.entries()) {
    if (!names.has(name)) {
      const variable = variableOf?.(name);
      throw refuse(
        `the rule ${shown} names the route ${JSON.stringify(name)}, which is not there`,
        `${variable === undefined ? "" : `set ${variable}, or `}write ${orList([...names.keys()])}`,
      );
    }
    if (routes.indexOf(name) < index) throw refuse(`the rule ${shown} names the route ${name} twice`, "keep one");
  }
  return { match, routes };
}

function parseMatch(text: string, shown: string, words: RouteWords): Match {
  const refuse = refuserOf(words);
  const { examples: [special, rest] } = words;
  if (text === "*") return { of: "any" };
  const [, of, value = ""] = /^(to|from|stream):(.*)$/s.exec(text) ?? [];
  if (of === "stream") {
    if (isStream(value)) return { of, value };
    throw refuse(
      `the rule ${shown} has no name that a stream could have`,
      `write 1 to 63 of a-z 0-9 . _ -, a letter or digit first, such as stream:bulk=${rest}`,
    );
  }
  if (of !== "to" && of !== "from") {
    throw refuse(
      `the rule ${shown} begins with none of to:, from: and stream:, nor is it *`,
      `write to:corp.example=${special}`,
    );
  }
  if (value.startsWith("*.")) return { of, is: "subdomain", value: domain(value.slice(2), shown, refuse) };
  if (!value.includes("@")) return { of, is: "domain", value: domain(value, shown, refuse) };
  const address = parseAddress(value);
  if (address.ok && address.mailbox.name === undefined) {
    return { of, is: "address", value: routingAddress(address.mailbox.email) };
  }
  throw refuse(`the rule ${shown} has no usable address`, `write to:ann@corp.example=${special}`);
}

function domain(text: string, shown: string, refuse: Refuser): string {
  const address = `a@${text}`;
  if (parseAddress(address).ok && !text.includes("@")) return domainOf(address);
  throw refuse(
    `the rule ${shown} has no domain that mail could have`,
    "write to:corp.example for a domain, to:*.corp.example for all below it, or to:ann@corp.example for an address",
  );
}

/** Whether an earlier rule leaves nothing to a later one. */
function covers(earlier: Match, later: Match): boolean {
  if (earlier.of === "any") return true;
  if (later.of === "any" || later.of !== earlier.of) return false;
  if (earlier.of === "stream" || later.of === "stream") return earlier.value === later.value;
  if (earlier.is === later.is && earlier.value === later.value) return true;
  const laterDomain = later.is === "address" ? domainOf(later.value) : later.value;
  if (earlier.is === "subdomain") return laterDomain.endsWith(`.${earlier.value}`);
  return earlier.is === "domain" && later.is === "address" && laterDomain === earlier.value;
}

function formatMatch(match: Match): string {
  if (match.of === "any") return "*";
  return `${match.of}:${match.of !== "stream" && match.is === "subdomain" ? "*." : ""}${match.value}`;
}

function orList(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

type Refuser = (because: string, fix: string) => SettingsError;

function refuserOf({ setting }: RouteWords): Refuser {
  return (because, fix) => new SettingsError(setting, `Cannot use ${setting}: ${because}; ${fix}`);
}
