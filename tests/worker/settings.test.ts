import { expect, test } from "bun:test";
import { checkSettings, type WorkerSettings } from "../../worker/settings.ts";

const WHOLE: WorkerSettings = {
  database: "postgres://ann:secret@db.example.com/shop",
  smtp: "smtps://smtp.example.com",
};

/** What is said to settings that are wrong. */
function errorOf(settings: Readonly<Record<string, unknown>>): string {
  try {
    checkSettings({ ...WHOLE, ...settings } as WorkerSettings);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error(`They were taken: ${JSON.stringify(settings)}`);
}

test("what is not said has the defaults of the docs", () => {
  const { run, mailer } = checkSettings(WHOLE);
  expect(run).toEqual({
    ...{ name: "mailchute", address: "db.example.com:5432/shop", display: "db.example.com:5432/shop" },
    rules: { onUncertain: "retry", maxAgeMs: 432_000_000, maxAttempts: undefined },
    routing: [],
    ...{
      returnPath: undefined,
      deadlineMs: 25_000,
      leaseMs: 120_000,
      batch: 10,
      maxMessages: Infinity,
      maxBytes: 5_242_880,
      restMs: 600_000,
    },
  });
  expect(mailer).toMatchObject({
    host: "smtp.example.com",
    port: 465,
    tls: "implicit",
    ehloName: "[127.0.0.1]",
    dsn: "failures",
  });
  expect(mailer.deadlines).toMatchObject({ mailMs: 30_000, finalMs: 600_000 });
});

test("Hyperdrive's URL and a connection need the address of the database", () => {
  const fix = "set it to host:port/name of the database, so that a copy of it sends nothing";
  expect(errorOf({ database: "postgres://a:b@4f1.hyperdrive.local:5432/shop" })).toContain(fix);
  expect(errorOf({ database: () => undefined })).toContain(fix);
  const address = "db.example.com:5432/shop";
  const settings = { ...WHOLE, database: "postgres://a:b@4f1.hyperdrive.local:5432/shop", address };
  expect(checkSettings(settings).run.address).toBe(address);
});

const WRONG: readonly (readonly [settings: Readonly<Record<string, unknown>>, message: string])[] = [
  [{ deadline: 1 }, "Cannot use deadline: there is no such setting; use database, "],
  [{ name: "My Shop" }, "Cannot use name: it is no short name; use up to 63 small letters, digits, dots and hyphens"],
  [{ address: "db" }, "Cannot use address: it is not like host:port/name; write db.example.com:5432/shop"],
  [
    { returnPath: "Shop <bounces@example.com>" },
    "Cannot use returnPath: it has a name, which SMTP cannot carry; set it to an address such as bounces@example.com, or leave it out",
  ],
  [{ returnPath: "bounces" }, "Cannot use returnPath: it has no @; set it to an address such as bounces@example.com"],
  [{ returnPath: "" }, "Cannot use returnPath: it has no @"],
  [{ returnPath: null }, "Cannot use returnPath: it has no @"],
  [{ smtp: "" }, "Cannot use smtp: it is not set; look whether its binding or secret is there"],
  [{ database: null }, "Cannot use database: it is not set; look whether its binding or secret is there"],
  [{ routes: 5 }, "Cannot use routes: it is no string; write to:*.corp.example=relay, *=worker"],
  [{ onUncertain: "ignore" }, 'Cannot use onUncertain: it is "ignore"; use retry or hold'],
  [{ deadlineMs: 0 }, "Cannot use deadlineMs = 0: set a whole number from 1 to 840000"],
  [{ leaseMs: 7_999 }, "Cannot use leaseMs = 7999: set a whole number from 8000 to 3600000"],
  [{ maxMessages: 0 }, "Cannot use maxMessages = 0: set a whole number from 1 to 1000000"],
  [{ batch: "10" }, "Cannot use batch = 10: set a whole number from 1 to 500"],
  [{ maxBytes: Number.NaN }, "Cannot use maxBytes = NaN: set a whole number from 1 to 26214400"],
  [{ routes: "*=internal" }, 'Cannot use routes: the rule "*=internal" names the route "internal", which is not there'],
  [
    { routes: "*=default" },
    'Cannot use routes: the rule "*=default" names the route "default", which is not there; write worker or relay',
  ],
  [{ routes: "to:a.example=relay" }, "Cannot use routes: mail that no rule fits has no route; end it with *=worker"],
  [
    { routes: "nonsense" },
    'Cannot use routes: the rule "nonsense" is not of the form match=route; write to:corp.example=relay, *=worker',
  ],
  [{ routes: "cc:a.example=relay, *=worker" }, 'Cannot use routes: the rule "cc:a.example=relay" begins with none of'],
  [{ routes: "*=worker" }, "Cannot use routes: no rule of routes names the route relay; add one, or remove routes"],
  [{ smtp: "smtp.example.com" }, "Cannot use smtp: it is no URL that begins with smtp:// or smtps://"],
  [
    { smtp: "smtp://smtp.example.com" },
    "Cannot use smtp: Cloudflare lets no Worker connect to port 25; use 587 or 465, or a relay on Bun",
  ],
  [
    { smtp: "smtps://x.example?cert=/a&key=/b" },
    "Cannot use smtp: a Worker cannot keep cert; remove it, or let a relay on Bun send this mail",
  ],
  [
    { smtp: "smtps://x.example?rate=5/s" },
    "Cannot use smtp: a Worker cannot keep rate; remove it, or let a relay on Bun send this mail",
  ],
  [{ smtp: "smtps://x.example?ca=/a" }, "Cannot use smtp: a Worker cannot keep ca; "],
  [{ smtp: "smtps://a:b@x.example?auth=xoauth2" }, "Cannot use smtp: auth=xoauth2 takes a token and no password"],
];

for (const [settings, message] of WRONG) {
  test(`${JSON.stringify(settings)} is refused with the setting and the fix`, () => {
    expect(errorOf(settings)).toStartWith(message);
  });
}

test("the return path is in the form for SMTP, with the domain in ASCII", () => {
  const settings = { ...WHOLE, returnPath: "bounces@bücher.example" };
  expect(checkSettings(settings).run.returnPath).toBe("bounces@xn--bcher-kva.example");
});

test("no error shows a password", () => {
  expect(errorOf({ smtp: "smtp://ann:very-secret@x.example?rate=1/s" })).not.toContain("very-secret");
  expect(errorOf({ smtp: "smtp://ann:very-secret@x.example?tls=none" })).not.toContain("very-secret");
});
