import { expect, test } from "bun:test";
import { readSettings } from "../../relay/config.ts";
import { isAllowed, originalRecipients } from "../../relay/delivery/safety.ts";
import type { Outcome } from "../../relay/delivery/transport.ts";
import { oneEach } from "../../relay/smtp/one_each.ts";
import { createDatabase } from "../database.ts";

const PATTERNS = [
  "*",
  "*@corp.example",
  "ann@corp.example",
  "ANN@*",
  "a*n@c*p.example",
  "*@*.example",
  "**@corp.example",
  "a.n@corp_x.example",
];
const ADDRESSES = [
  "ann@corp.example",
  "Ann@CORP.example",
  "ann@corp.example.net",
  "x@corp.example",
  "anna@corp.example",
  "a.n@corp_x.example",
  "ain@corpyx.example",
];

test("a pattern allows what the same pattern of grants does", async () => {
  await using database = await createDatabase();
  for (const pattern of PATTERNS) {
    for (const address of ADDRESSES) {
      const [row] = await database.sql`select mailchute.address_matches(${address}, array[${pattern}]) as matches`;
      expect({ pattern, address, is: isAllowed(address, [pattern]) }).toEqual({ pattern, address, is: row?.matches });
    }
  }
});

test("a pattern for a domain takes its Unicode form too, and no letter that only looks alike", () => {
  expect(isAllowed("ann@münchen.example", ["*@xn--mnchen-3ya.example"])).toBe(true);
  expect(isAllowed("anK@corp.example", ["ank@corp.example"])).toBe(true);
  expect(isAllowed("an\u212a@corp.example", ["ank@corp.example"])).toBe(false);
});

test("the header names at most 100 of the original recipients, and how many there are beside", () => {
  const originals = Array.from(
    { length: 102 },
    (_, index) => ({ kind: "to" as const, email: `u${index}@example.com` }),
  );
  expect(originalRecipients(originals)).toEndWith("to u99@example.com, and 2 more");
  expect(originalRecipients(originals.slice(0, 1))).toBe("to u0@example.com");
});

function outcome(position: number, kind: Outcome["kind"]): Outcome {
  return { position, kind, phase: "rcpt", blame: "recipient", reason: kind };
}

test("an envelope in which everybody has an address is left as it is", () => {
  const recipients = [{ position: 0, email: "ann@example.com" }, { position: 1, email: "Ann@example.com" }];
  expect(oneEach({ reversePath: "", recipients }, undefined)).toBeUndefined();
  expect(oneEach({ reversePath: "", recipients: recipients.slice(1) }, undefined)).toBeUndefined();
});

test("the witness hears of the recipients of the mail, of each once", () => {
  const heard: unknown[] = [];
  const recipients = [
    { position: 4, email: "ann@example.com" },
    { position: 7, email: "ann@EXAMPLE.com" },
    { position: 7, email: "bob@example.com" },
  ];
  const each = oneEach({ reversePath: "", recipients }, {
    committing: (positions) => void heard.push(positions),
    concluded: (outcomes) => void heard.push(outcomes.map(({ position, kind }) => [position, kind])),
  });
  expect(each?.envelope.recipients).toEqual([{ position: 0, email: "ann@example.com" }, {
    position: 1,
    email: "bob@example.com",
  }]);
  each?.witness?.committing([0, 1]);
  each?.witness?.concluded([outcome(0, "deferred"), outcome(1, "uncertain")]);
  expect(heard).toEqual([[4, 7], [[4, "deferred"], [7, "uncertain"]]]);
  expect(each?.spread([outcome(0, "sent"), outcome(1, "bounced")]).map(({ kind }) => kind)).toEqual(["sent", "sent"]);
});

const BASE = { DATABASE_URL: "postgres://relay:pw@db.example.com/shop", SMTP_URL: "smtp://smtp.example.com" };

function refusal(env: Record<string, string>): string {
  try {
    readSettings({ ...BASE, ...env }, () => "");
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("accepted");
}

test("settings that would let mail out, or do nothing, are refused with what to write", () => {
  expect(refusal({ RELAY_REDIRECT_TO: "Ann <ann@corp.example>" })).toContain("it has a name");
  expect(refusal({ RELAY_REDIRECT_TO: "qa@corp.example, qa@CORP.example" })).toContain(
    '"qa@CORP.example" is in it twice',
  );
  expect(refusal({ RELAY_REDIRECT_TO: "corp.example" })).toContain("it must be 1 to 10 addresses");
  expect(refusal({ RELAY_ALLOWED_RECIPIENTS: "corp.example" })).toContain('"corp.example" is no address pattern');
  expect(refusal({ RELAY_ALLOWED_RECIPIENTS: "*@münchen.example" })).toContain("xn--");
  expect(refusal({ RELAY_ENVIRONMENT: "a]\r\nBcc: x" })).toContain("letters, digits");
  expect(refusal({ RELAY_ENVIRONMENT: "production" })).toContain("in production leave it out");
  const routes = { SMTP_URL_INTERNAL: "smtp://internal", RELAY_ROUTES: "to:corp.example=internal, *=default" };
  expect(refusal({ ...routes, RELAY_REDIRECT_TO: "qa@corp.example, qa@example.net" })).toContain(
    "have different routes",
  );
  const both = { ...routes, RELAY_REDIRECT_TO: "qa@corp.example, dev@corp.example" };
  expect(readSettings({ ...BASE, ...both }, () => "").safety.redirectTo).toEqual([
    "qa@corp.example",
    "dev@corp.example",
  ]);
});
