import { expect, test } from "bun:test";
import { SettingsError } from "../../relay/config.ts";
import { formatRoutes, parseRoutes } from "../../relay/settings/routes.ts";

const THREE = ["default", "internal", "provider"];

function names(...routes: readonly string[]): ReadonlyMap<string, string> {
  return new Map(routes.map((name) => [name, name === "default" ? "SMTP_URL" : `SMTP_URL_${name.toUpperCase()}`]));
}

function refusal(rules: string | undefined, routes: readonly string[] = THREE): string {
  try {
    parseRoutes(rules, names(...routes));
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    expect(error.message).toMatch(/^Cannot use (RELAY_ROUTES|SMTP_URL\w*)\b.*; /);
    expect(error.message).not.toMatch(/\.$|\n/);
    expect(error.message).toContain(error.variable);
    return error.message;
  }
  throw new Error(`accepted: ${rules}`);
}

test("one route needs no rules, whatever it is called", () => {
  expect(formatRoutes(parseRoutes(undefined, names("default")))).toBe("*=default");
  expect(formatRoutes(parseRoutes(undefined, names("provider")))).toBe("*=provider");
  expect(formatRoutes(parseRoutes("to:corp.example=default", names("default")))).toBe(
    "to:corp.example=default, *=default",
  );
});

test("without * the rest takes the default route", () => {
  expect(formatRoutes(parseRoutes("to:corp.example=internal|provider", names(...THREE)))).toBe(
    "to:corp.example=internal|provider, *=default",
  );
});

test("case, blanks and dots at their usual places do not matter", () => {
  expect(formatRoutes(parseRoutes(" to:Corp.Example = Internal|PROVIDER ,*=default ", names(...THREE)))).toBe(
    "to:corp.example=internal|provider, *=default",
  );
  expect(formatRoutes(parseRoutes("to:a=b@corp.example=internal, *=default|provider", names(...THREE)))).toBe(
    "to:a=b@corp.example=internal, *=default|provider",
  );
});

test("several routes without rules are refused", () => {
  expect(refusal(undefined, ["default", "internal"])).toBe(
    "Cannot use SMTP_URL_INTERNAL without RELAY_ROUTES: nothing says which mail takes the route internal; " +
      "set RELAY_ROUTES, for example to:corp.example=internal, *=default",
  );
  expect(refusal(undefined, ["internal", "provider"])).toContain("to:corp.example=internal, *=provider");
});

const USED = "from:a.example=internal|provider|default";

test.each([
  // What a rule must look like.
  ["", "match=route"],
  ["to:corp.example", "match=route"],
  ["to:corp.example=", "match=route"],
  ["=internal", "match=route"],
  ["to:corp.example=internal,, *=provider", "match=route"],
  ["corp.example=internal", "none of to:, from: and stream:"],
  ["cc:corp.example=internal", "none of to:, from: and stream:"],
  ["stream:=provider", "no name that a stream could have"],
  ["stream:Bulk=provider", "no name that a stream could have; write 1 to 63 of a-z"],
  ["stream:*=provider", "no name that a stream could have"],
  ["to:=internal", "no domain"],
  ["to:*=internal", "no domain"],
  ["to:*.=internal", "no domain"],
  ["to:corp..example=internal", "no domain"],
  ["to:-corp.example=internal", "no domain"],
  ["to:a corp.example=internal", "no domain"],
  ["to:@corp.example=internal", "no usable address"],
  ["to:Ann <ann@corp.example>=internal", "no usable address"],
  // Which routes there are.
  ["to:corp.example=internl, *=provider", 'the route "internl", which is not there; set SMTP_URL_INTERNL, or write'],
  ["to:corp.example=internal|, *=provider", 'the route "", which is not there'],
  ["*=internal|internal", "names the route internal twice"],
  ["*=default|internal", "SMTP_URL_PROVIDER: no rule of RELAY_ROUTES names the route provider"],
  ["*=internal|provider", "Cannot use SMTP_URL: no rule of RELAY_ROUTES names the route default"],
  // Rules that could do nothing.
  [`*=internal|provider, ${USED}`, "write * last"],
  ["*=internal|provider|default, *=default", "can never match, because * before it"],
  [`${USED}, from:A.example=default`, "because from:a.example before it"],
  ["stream:bulk=internal|provider, stream:bulk=default", "because stream:bulk before it"],
  [`${USED}, from:ann@a.example=default`, "because from:a.example before it"],
  [`to:*.corp.example=internal|provider|default, to:x.corp.example=default`, "because to:*.corp.example before it"],
  [`to:*.corp.example=internal|provider|default, to:*.x.corp.example=default`, "because to:*.corp.example before it"],
  [`to:*.corp.example=internal|provider|default, to:a@x.corp.example=default`, "because to:*.corp.example before it"],
])("RELAY_ROUTES=%p is refused: %s", (rules, words) => {
  expect(refusal(rules)).toContain(words);
});

test("a rule that leaves something to a later one is fine", () => {
  for (
    const rules of [
      "to:*.corp.example=internal|provider, to:corp.example=default",
      "to:ann@corp.example=internal|provider, to:corp.example=default",
      "to:corp.example=internal|provider, from:corp.example=default",
      "to:a.example=internal|provider, to:b.a.example=default",
      "stream:bulk=internal|provider, stream:bulk2=default",
      "stream:bulk.example=internal|provider, to:bulk.example=default",
    ]
  ) expect(formatRoutes(parseRoutes(rules, names(...THREE)))).toBe(`${rules}, *=default`);
});

test("without SMTP_URL mail that no rule fits is refused at the start", () => {
  expect(refusal("to:corp.example=internal", ["internal", "provider"])).toContain("end it with *= and a route");
});
