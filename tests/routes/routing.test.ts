import { expect, test } from "bun:test";
import { routesFor, type RoutingRule } from "../../relay/routes/routing.ts";
import { formatRoutes, parseRoutes } from "../../relay/settings/routes.ts";

const NAMES = new Map(["default", "internal", "provider", "backup", "news"].map((name) => [name, `SMTP_URL_${name}`]));
const RULES = [
  "to:boss@corp.example=backup",
  "to:corp.example=internal",
  "to:*.corp.example=internal|backup",
  "from:news@shop.example=news",
  "from:*.shop.example=news|provider",
  "from:münchen.example=provider",
  "stream:bulk=backup|provider",
  "*=default",
].join(", ");

function routeOf(from: string, to: string, rules: readonly RoutingRule[] = parseRoutes(RULES, NAMES)) {
  return routesFor(rules, { from, to })?.join("|");
}

const APP = "app@other.example";

test.each([
  // An address before its domain, whichever way it is written.
  [APP, "boss@corp.example", "backup"],
  [APP, "BOSS@CORP.example", "backup"],
  [APP, "ann@corp.example", "internal"],
  [APP, "ann@CORP.EXAMPLE", "internal"],
  // Below a domain is neither the domain nor one that only ends alike.
  [APP, "ann@mail.corp.example", "internal|backup"],
  [APP, "ann@a.b.corp.example", "internal|backup"],
  [APP, "ann@notcorp.example", "default"],
  [APP, "ann@corp.example.net", "default"],
  ["news@shop.example", "bob@example.net", "news"],
  ["shop@shop.example", "bob@example.net", "default"],
  ["shop@eu.shop.example", "bob@example.net", "news|provider"],
  // The first rule decides, not the closest.
  ["news@shop.example", "ann@corp.example", "internal"],
  // IDNA: what the database holds may be either form.
  ["ann@MÜNCHEN.example", "bob@example.net", "provider"],
  ["ann@xn--mnchen-3ya.example", "bob@example.net", "provider"],
  // Other writers put anything there.
  ["", "", "default"],
  [APP, "no address", "default"],
  [APP, "two@ats@corp.example", "internal"],
])("from %s to %s goes by %s", (from, to, routes) => {
  expect(routeOf(from, to)).toBe(routes);
});

test("without a rule that fits there is no route", () => {
  const [toCorp] = parseRoutes("to:corp.example=internal|provider|backup|news, *=default", NAMES);
  expect(routeOf(APP, "ann@corp.example", [toCorp as RoutingRule])).toBe("internal|provider|backup|news");
  expect(routeOf(APP, "ann@example.net", [toCorp as RoutingRule])).toBeUndefined();
});

test("recipients of one rule have the same array, so that they can share a transaction", () => {
  const rules = parseRoutes(RULES, NAMES);
  const routes = (to: string) => routesFor(rules, { from: APP, to });
  expect(routes("ann@corp.example")).toBe(routes("bob@Corp.Example"));
});

test("rules are read and written the same", () => {
  const written = formatRoutes(parseRoutes(RULES, NAMES));
  expect(written).toBe(RULES.replace("münchen", "xn--mnchen-3ya"));
  expect(formatRoutes(parseRoutes(written, NAMES))).toBe(written);
});

test("a stream chooses the route of a mail that no rule before it takes, and of no other stream", () => {
  const rules = parseRoutes(RULES, NAMES);
  const routeFor = (to: string, stream?: string) => routesFor(rules, { from: APP, to, stream })?.join("|");
  expect(routeFor("bob@example.net", "bulk")).toBe("backup|provider");
  expect(routeFor("ann@corp.example", "bulk")).toBe("internal");
  expect(routeFor("bob@example.net", "bulk2")).toBe("default");
  expect(routeFor("bob@example.net")).toBe("default");
});
