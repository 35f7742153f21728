import { expect, test } from "bun:test";
import { describeSettings, readSettings, SettingsError } from "../../relay/config.ts";
import { formatRateLimit } from "../../relay/limits/rate_limit.ts";

const BASE = {
  DATABASE_URL: "postgres://relay:pw@db.example.com/shop",
  SMTP_URL: "smtp://smtp.example.com",
  SMTP_URL_INTERNAL: "smtp://smtp.corp.example",
  RELAY_ROUTES: "to:corp.example=internal",
};

function read(env: Record<string, string>) {
  return readSettings({ ...BASE, ...env }, () => "");
}

function refusal(env: Record<string, string>): string {
  try {
    read(env);
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
  throw new Error(`accepted: ${JSON.stringify(env)}`);
}

test("limits of all mail, routes and domains, and those of the URLs", () => {
  const settings = read({
    RELAY_RATE: "60/m, 2000/h,route:INTERNAL=30/m, stream:bulk=600/m, domain:Example.com=10/6s,domain:*=300/m",
    SMTP_URL: "smtp://smtp.example.com?rate=5/s,100/m",
  });
  expect(settings.limits.map(formatRateLimit)).toEqual([
    ...["60/m", "2000/h", "route:internal=30/m", "stream:bulk=600/m", "domain:example.com=10/6s", "domain:*=300/m"],
    ...["route:default=5/s", "route:default=100/m"],
  ]);
  expect(describeSettings(settings)).toContain("at most 60/m, 2000/h, route:internal=30/m");
  expect(read({}).limits).toEqual([]);
  expect(readSettings({ RELAY_RATE: "route:default=1/s" }, () => "").limits).toHaveLength(1);
});

test.each([
  ["60", 'Cannot use RELAY_RATE: "60" holds no limit; write it as 60/m'],
  ["60/m,", 'Cannot use RELAY_RATE: "" holds no limit; write it'],
  ["0/m", '"0/m" holds no limit'],
  ["60/min", '"60/min" holds no limit'],
  ["60/m=all", '"60/m=all" holds no limit'],
  ["internal=60/m", '"internal=60/m" begins with none of route:, stream: and domain:; write'],
  ["to:example.com=60/m", "begins with none of route:, stream: and domain:"],
  ["stream:Bulk=60/m", '"stream:Bulk=60/m" has no name that a stream could have; write 1 to 63 of a-z'],
  ["stream:*=60/m", "has no name that a stream could have"],
  ["stream:=60/m", "has no name that a stream could have"],
  ["stream:bulk=60/m, stream:bulk=90/m", "the limit stream:bulk=90/m can never be reached"],
  ["route:provider=60/m", 'names the route "provider", which is not there; write default or internal'],
  ["domain:=60/m", "has no domain that mail could have; write domain:example.com"],
  ["domain:a@example.com=60/m", "has no domain that mail could have"],
  ["domain:*.example.com=60/m", "has no domain that mail could have"],
  ["60/m, 100/m", "the limit 100/m can never be reached, because 60/m is not higher; remove one of them"],
  ["60/m, 60/m", "the limit 60/m can never be reached, because 60/m is not higher"],
  ["3600/h, 60/m", "the limit 3600/h can never be reached, because 60/m is not higher"],
  ["domain:a.example=1/s, domain:A.example=9/s", "the limit domain:a.example=9/s can never be reached"],
])("RELAY_RATE=%s stops the start", (written, sentence) => {
  expect(refusal({ RELAY_RATE: written })).toContain(sentence);
});

test("a limit of a URL is refused by the name of its variable", () => {
  const url = BASE.SMTP_URL_INTERNAL;
  expect(refusal({ SMTP_URL_INTERNAL: `${url}?rate=60` })).toContain(
    'Cannot use SMTP_URL_INTERNAL: rate=60: "60" is no limit; write it as 60/m',
  );
  expect(refusal({ SMTP_URL_INTERNAL: `${url}?rate=60/m,90/m` })).toContain(
    "Cannot use SMTP_URL_INTERNAL: the limit route:internal=90/m can never be reached",
  );
  expect(refusal({ SMTP_URL_INTERNAL: `${url}?rate=60/m`, RELAY_RATE: "route:internal=90/m" })).toContain(
    "Cannot use RELAY_RATE: the limit route:internal=90/m can never be reached",
  );
});
