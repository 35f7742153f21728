import { domainOf, normalizeAddress } from "../../src/address.ts";

/**
 * What a rule looks at: an address, a domain, everything below a domain (`*.corp.example`), a stream, or nothing (`*`).
 */
export type Match =
  | { readonly of: "to" | "from"; readonly is: "address" | "domain" | "subdomain"; readonly value: string }
  | { readonly of: "stream"; readonly value: string }
  | { readonly of: "any" };

/** One rule of `RELAY_ROUTES`: which mail, and the routes to try for it, in order. */
export interface RoutingRule {
  readonly match: Match;
  /** The first one, and those that take over while the ones before are out. */
  readonly routes: readonly [string, ...string[]];
}

/** What a rule may look at. */
export interface Routed {
  readonly from: string;
  readonly to: string;
  readonly stream?: string | undefined;
}

/** All mail by the only route. */
export const ONLY_ROUTE: readonly [RoutingRule] = [{ match: { of: "any" }, routes: ["default"] }];

/**
 * Finds the first rule for a recipient. The same rule answers with the same array, by which recipients can be grouped.
 *
 * @example Internal mail to the internal server, the rest to a provider
 * ```ts
 * const rules: RoutingRule[] = [
 *   { match: { of: "to", is: "domain", value: "corp.example" }, routes: ["internal"] },
 *   { match: { of: "any" }, routes: ["provider", "backup"] },
 * ];
 * const from = "shop@example.com";
 * if (routesFor(rules, { from, to: "ann@Corp.example" })?.[0] !== "internal") throw new Error("unexpected");
 * if (routesFor(rules, { from, to: "bob@example.net" })?.[0] !== "provider") throw new Error("unexpected");
 * ```
 *
 * @returns the routes to try in order; undefined when no rule fits
 */
export function routesFor(rules: readonly RoutingRule[], mail: Routed): readonly [string, ...string[]] | undefined {
  return rules.find(({ match }) => fits(match, mail))?.routes;
}

function fits(match: Match, mail: Routed): boolean {
  if (match.of === "any") return true;
  if (match.of === "stream") return mail.stream === match.value;
  const address = mail[match.of];
  switch (match.is) {
    case "address":
      return routingAddress(address) === match.value;
    case "domain":
      return domainOf(address) === match.value;
    case "subdomain":
      return domainOf(address).endsWith(`.${match.value}`);
    default:
      return match.is satisfies never;
  }
}

/**
 * The form in which rules compare addresses: domain as its A-label, and all in lower case. A server may tell `Ann@`
 * from `ann@` (RFC 5321 section 2.4), but hardly sends them to different places.
 */
export function routingAddress(address: string): string {
  return normalizeAddress(address).toLowerCase();
}
