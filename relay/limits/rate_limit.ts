import { domainOf } from "../../src/address.ts";
import { formatDuration, parseDuration } from "../time/duration.ts";
import type { Limit } from "./throttle.ts";

/**
 * What a limit counts: mails, mails of one route, mails of one stream, or recipients of a domain; `*` is every domain
 * without a limit of its own, each by itself.
 */
export type Scope =
  | { readonly of: "all" }
  | { readonly of: "route"; readonly name: string }
  | { readonly of: "stream"; readonly name: string }
  | { readonly of: "domain"; readonly domain: string };

/** A limit of RELAY_RATE, or of a route's URL. */
export interface RateLimit extends Limit {
  readonly scope: Scope;
}

/** What starting a mail takes from one throttle. */
export interface Charge {
  /** The throttle's name, such as `domain:example.com=300/m`: whoever has the same limit shares it. */
  readonly key: string;
  readonly limit: Limit;
  readonly cost: number;
}

/** A mail that is to start. */
export interface Charged {
  readonly route: string;
  readonly stream: string | null;
  readonly recipients: readonly { readonly email: string }[];
}

/** The longest period, so that the mail of today waits for no budget of next week. */
const LONGEST_PERIOD_MS = 86_400_000;

/**
 * Parses a limit: a number, `/`, and a unit or a duration.
 *
 * @example The same rate, all at once or ten at a time
 * ```ts
 * console.log(parseLimit("100/m")); // { count: 100, periodMs: 60000 }
 * console.log(parseLimit("10/6s")); // { count: 10, periodMs: 6000 }
 * ```
 *
 * @returns undefined when the text is no limit
 */
export function parseLimit(text: string): Limit | undefined {
  const [, count = "", period = ""] = /^(\d{1,9})\/(\w{1,8})$/.exec(text) ?? [];
  const periodMs = parseDuration(/^\d/.test(period) ? period : `1${period}`);
  if (periodMs === undefined || periodMs < 1_000 || periodMs > LONGEST_PERIOD_MS || Number(count) < 1) return undefined;
  return { count: Number(count), periodMs };
}

/** Writes a limit as `parseLimit` reads it. */
export function formatLimit({ count, periodMs }: Limit): string {
  return `${count}/${formatDuration(periodMs).replace(/^1(?=\D)/, "")}`;
}

/** Writes a limit with what it counts, as it stands in RELAY_RATE. */
export function formatRateLimit({ scope, ...limit }: RateLimit): string {
  return keyOf(limit, scope);
}

/** The limits of a relay, as they concern its mails. */
export class RateLimits {
  readonly #limits: readonly RateLimit[];
  readonly #domains: ReadonlySet<string>;

  constructor(limits: readonly RateLimit[]) {
    this.#limits = limits;
    this.#domains = new Set(limits.flatMap(({ scope }) => scope.of === "domain" ? [scope.domain] : []));
  }

  /** Throttles that every mail needs, whoever gets it. */
  gates(routes: readonly string[]): readonly Charge[] {
    const [only, second] = routes;
    return this.#limits.flatMap(({ scope, ...limit }) =>
      scope.of === "all" || (scope.of === "route" && scope.name === only && second === undefined)
        ? [{ key: keyOf(limit, scope), limit, cost: 1 }]
        : []
    );
  }

  /** What a mail takes that goes to these recipients over this route. */
  chargesOf({ route, stream, recipients }: Charged): readonly Charge[] {
    const counts = new Map<string, number>();
    // Most relays limit no domain.
    for (const { email } of this.#domains.size === 0 ? [] : recipients) {
      const domain = domainOf(email);
      counts.set(domain, (counts.get(domain) ?? 0) + 1);
    }
    return this.#limits.flatMap(({ scope, ...limit }): readonly Charge[] => {
      if (scope.of === "all") return [{ key: keyOf(limit, scope), limit, cost: 1 }];
      if (scope.of === "route" || scope.of === "stream") {
        const name = scope.of === "route" ? route : stream;
        return scope.name === name ? [{ key: keyOf(limit, scope), limit, cost: 1 }] : [];
      }
      const domains = [...counts].filter(([domain]) =>
        scope.domain === domain || (scope.domain === "*" && !this.#domains.has(domain))
      );
      return domains.map(([domain, cost]) => ({ key: keyOf(limit, { of: "domain", domain }), limit, cost }));
    });
  }

  /** The limit behind a key; undefined when these settings have no such throttle. */
  limitOf(key: string): Limit | undefined {
    const at = key.lastIndexOf("=");
    const domain = /^domain:(.*)$/s.exec(key.slice(0, at))?.[1];
    const found = this.#limits.find(({ scope, ...limit }) =>
      keyOf(limit, scope) === key ||
      (scope.of === "domain" && scope.domain === "*" && domain !== undefined && !this.#domains.has(domain) &&
        formatLimit(limit) === key.slice(at + 1))
    );
    return found === undefined ? undefined : { count: found.count, periodMs: found.periodMs };
  }
}

function keyOf(limit: Limit, scope: Scope): string {
  if (scope.of === "all") return formatLimit(limit);
  return `${scope.of}:${scope.of === "domain" ? scope.domain : scope.name}=${formatLimit(limit)}`;
}
