import { Glob } from "bun";
import { expect, test } from "bun:test";
import { createServer } from "node:net";
import { createServer as createTlsServer, TLSSocket } from "node:tls";
import type { Blame, Outcome, Phase, RouteTrouble } from "../../relay/delivery/transport.ts";
import { type Advice, adviceOnOutcome, adviceOnTrouble, type RouteFacts } from "../../relay/smtp/advice.ts";
import { OUTCOME_ADVICE } from "../../relay/smtp/outcome_advice.ts";
import { routeFacts, type SmtpOptions } from "../../relay/smtp/smtp.ts";
import { TROUBLE_ADVICE, type TroubleAdvice } from "../../relay/smtp/trouble_advice.ts";
import { type ScriptedServerOptions, TEST_AUTHORITY } from "../scripted_server.ts";
import { createAuthority, selfSigned } from "./certificate.ts";
import { setup, troubleIn } from "./setup.ts";

const LOGIN = { user: "ann", password: "s3cret" };
const NAMES = ["localhost", "127.0.0.1"];

/** What goes wrong, with a real server, and the sentence that a person reads. */
const SERVERS: readonly {
  readonly wrong: string;
  readonly script: ScriptedServerOptions;
  readonly options: Partial<SmtpOptions>;
  readonly problem: string;
  readonly fix: string;
}[] = [
  {
    wrong: "a wrong password",
    script: { auth: { user: "ann", password: "other" } },
    options: { auth: LOGIN, allowPlaintextAuth: true },
    problem: "127.0.0.1 does not accept user and password (535)",
    fix: "correct user and password in SMTP_URL",
  },
  {
    wrong: "an access token that has ended",
    script: { offer: ["AUTH XOAUTH2"], on: { auth: () => "535 5.7.8 invalid_token" } },
    options: { auth: { user: "ann", accessToken: () => "old" }, allowPlaintextAuth: true },
    problem: "127.0.0.1 does not accept the access token (535)",
    fix: "token-file= in SMTP_URL",
  },
  {
    wrong: "a login that is taken over TLS only",
    script: {
      auth: LOGIN,
      on: { auth: () => "538 5.7.11 Encryption required for requested authentication mechanism" },
    },
    options: { auth: LOGIN, allowPlaintextAuth: true },
    problem: "127.0.0.1 takes a login over TLS only (538)",
    fix: "write ?tls=required in SMTP_URL",
  },
  {
    wrong: "a server that hangs up once it has seen our certificate",
    script: { tls: "starttls", on: { ehlo: (_, { isTls }) => isTls ? { close: undefined } : undefined } },
    options: { tls: "required", clientCertificate: TEST_AUTHORITY.issue(["relay.example"]) },
    problem: "closes the connection in the middle of the dialogue",
    fix: "it may not trust the authority of our certificate",
  },
  {
    wrong: "a service that is no SMTP server",
    script: { on: { connect: () => ({ raw: "SSH-2.0-OpenSSH_9.6\r\n" }) } },
    options: {},
    problem: "is not an SMTP server",
    fix: "correct the port in SMTP_URL",
  },
  {
    wrong: "a server that speaks HTTP",
    script: { on: { connect: () => ({ raw: "HTTP/1.1 408 Request Timeout\r\n\r\n" }) } },
    options: {},
    problem: "is not an SMTP server",
    fix: "correct the port in SMTP_URL",
  },
  {
    wrong: "a host name that does not exist",
    script: {},
    options: { host: "nowhere.invalid" },
    problem: "No host is called nowhere.invalid",
    fix: "correct the host in SMTP_URL",
  },
  ...(["implicit", "starttls"] as const).flatMap((offered) => {
    const tls: SmtpOptions["tls"] = offered === "implicit" ? "implicit" : "required";
    return [
      {
        wrong: `a self-signed certificate, ${tls}`,
        script: { tls: offered, certificate: selfSigned(NAMES) },
        options: { tls },
        problem: "is self-signed",
        fix: "?ca=",
      },
      {
        wrong: `a certificate for another name, ${tls}`,
        script: { tls: offered, certificate: TEST_AUTHORITY.issue(["mx.corp.example"]) },
        options: { tls },
        problem: "is for other names",
        fix: "write a host name into SMTP_URL that the certificate is for",
      },
      {
        wrong: `an expired certificate, ${tls}`,
        script: { tls: offered, certificate: TEST_AUTHORITY.issue(NAMES, { expired: true }) },
        options: { tls },
        problem: "has expired",
        fix: "renew it",
      },
      {
        wrong: `a certificate of an unknown authority, ${tls}`,
        script: { tls: offered, certificate: createAuthority().issue(NAMES) },
        options: { tls },
        problem: "an authority that this machine does not know",
        fix: "?ca=",
      },
      {
        wrong: `a certificate of an authority that was not named, ${tls}`,
        script: { tls: offered },
        options: { tls, ca: undefined },
        problem: "an authority that this machine does not know",
        fix: "?ca=",
      },
    ];
  }),
  {
    wrong: "smtps:// to a port that begins without TLS",
    script: {},
    options: { tls: "implicit" },
    problem: "does not begin with TLS",
    fix: "write smtp://127.0.0.1:",
  },
  {
    wrong: "smtp:// to a port that begins with TLS",
    script: { tls: "implicit" },
    options: { timeouts: { greetingMs: 50 } },
    problem: "takes the connection on port",
    fix: "write smtps:// if the port begins with TLS",
  },
  {
    wrong: "no STARTTLS where it is required",
    script: {},
    options: { tls: "required" },
    problem: "does not offer STARTTLS, and this route requires it",
    fix: "smtps:// with port 465",
  },
  {
    wrong: "no STARTTLS for a login",
    script: {},
    options: { tls: "required", auth: LOGIN },
    problem: "does not offer STARTTLS, and a password goes out over TLS only",
    fix: "smtps:// with port 465",
  },
  {
    wrong: "STARTTLS that is refused",
    script: { tls: "starttls", on: { starttls: () => "454 4.7.0 TLS not available" } },
    options: { tls: "required" },
    problem: "offers STARTTLS and then refuses it",
    fix: "mend TLS on the server",
  },
  {
    wrong: "plain text after STARTTLS was agreed to",
    script: { tls: "starttls", on: { starttls: () => ({ raw: "220 go\r\n250 evil\r\n" }) } },
    options: { tls: "required" },
    problem: "adds bytes to the dialogue before TLS begins",
    fix: "take out what inspects SMTP",
  },
  {
    wrong: "a server that hangs up in the handshake",
    script: { tls: "starttls", on: { starttls: () => ({ close: "220 go" }) } },
    options: { tls: "required" },
    problem: "in the TLS handshake",
    fix: "look into the log of the server",
  },
  {
    wrong: "no AUTH",
    script: { tls: "starttls" },
    options: { tls: "required", auth: LOGIN },
    problem: "offers no login",
    fix: "use the port for submission",
  },
  {
    wrong: "no AUTH without TLS",
    script: {},
    options: { auth: LOGIN, allowPlaintextAuth: true },
    problem: "offers no login without TLS",
    fix: "?tls=required",
  },
  {
    wrong: "no way to log in that both speak",
    script: { offer: ["AUTH GSSAPI NTLM"] },
    options: { auth: LOGIN, allowPlaintextAuth: true },
    problem: "offers no way to log in that this login can use",
    fix: "PLAIN or LOGIN",
  },
  {
    wrong: "an access token that cannot be read",
    script: { offer: ["AUTH XOAUTH2"] },
    options: {
      auth: {
        user: "ann",
        accessToken: () => {
          throw new Error("no such file");
        },
      },
      allowPlaintextAuth: true,
    },
    problem: "The secret for the login at 127.0.0.1 cannot be read",
    fix: "the file of the token",
  },
  {
    wrong: "a login that cannot be checked now",
    script: { auth: LOGIN, on: { auth: () => "454 4.7.0 try later" } },
    options: { auth: LOGIN, allowPlaintextAuth: true },
    problem: "cannot check logins at the moment (454)",
    fix: "wait",
  },
  {
    wrong: "credentials over an open connection",
    script: { auth: LOGIN },
    options: { auth: LOGIN },
    problem: "user and password are not sent",
    fix: "?tls=required",
  },
  {
    wrong: "a server that wants a login at MAIL",
    script: { on: { mail: () => "530 5.7.0 Authentication required" } },
    options: {},
    problem: "only after a login or over TLS (530)",
    fix: "smtp://user:password@127.0.0.1:587",
  },
  {
    wrong: "a machine that is not served",
    script: { on: { connect: () => ({ close: "554 5.7.1 not you" }) } },
    options: {},
    problem: "does not serve this machine (554)",
    fix: "let the server allow the address of this machine",
  },
  {
    wrong: "a machine that is hung up on",
    script: { on: { connect: () => ({ close: undefined }) } },
    options: {},
    problem: "closes the connection on port",
    fix: "let the server allow the address of this machine",
  },
  {
    wrong: "an EHLO name that is not taken",
    script: { on: { ehlo: () => "550 5.7.1 bad name" } },
    options: {},
    problem: "does not take the name that we give in EHLO (550)",
    fix: "?name=",
  },
  {
    wrong: "too many connections",
    script: { on: { connect: () => ({ close: "421 4.7.0 too many connections" }) } },
    options: {},
    problem: "closes the connection for now (421)",
    fix: "RELAY_CONNECTIONS",
  },
];

test.each(SERVERS.map((each) => [each.wrong, each] as const))("%s: what to change", async (_, each) => {
  await using relay = await setup(each.script, each.options);
  const trouble = troubleIn(await relay.send("ann@corp.example"));
  const facts = { host: "127.0.0.1", port: relay.server.port, tls: each.options.tls ?? "none" } as const;
  const advice = adviceOnTrouble(trouble, routeFacts({ ...facts, ehloName: "relay.example", ...each.options }));
  expect(advice.problem).toContain(each.problem);
  expect(advice.fix).toContain(each.fix);
  // The log of the relay says the same.
  expect(trouble.fix).toBe(advice.fix);
});

test("nothing listens: what to change", async () => {
  await using relay = await setup();
  await relay.server.close();
  const trouble = troubleIn(await relay.send("ann@corp.example"));
  expect(trouble.fix).toContain("correct the port in SMTP_URL");
});

test.each(["TLSv1", "TLSv1.1"] as const)("a server that speaks %s at most: what to change", async (version) => {
  const certificate = TEST_AUTHORITY.issue(NAMES);
  const server = createServer((plain) => {
    plain.on("error", () => undefined);
    new TLSSocket(plain, { isServer: true, ...certificate, minVersion: version, maxVersion: version })
      .on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port ?? 0 : 0;
  await using relay = await setup({}, { port, tls: "implicit" });
  const trouble = troubleIn(await relay.send("ann@corp.example"));
  expect(trouble).toMatchObject({ code: "tls_handshake", fix: expect.stringContaining("TLS 1.2 or 1.3") });
  server.close();
});

test("a server that wants a certificate from us: what to change", async () => {
  const certificate = TEST_AUTHORITY.issue(NAMES);
  const server = createTlsServer({
    ...certificate,
    ca: TEST_AUTHORITY.ca,
    requestCert: true,
    rejectUnauthorized: true,
  });
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port ?? 0 : 0;
  await using relay = await setup({}, { port, tls: "implicit" });
  expect(troubleIn(await relay.send("ann@corp.example")).fix).toContain("?cert=");
  server.close();
});

/** One trouble for each row of the table, those too that no server on this machine can cause. */
const ROUTE: RouteFacts = { host: "smtp.example", port: 587, tls: "required", hasCredentials: false };
const PHASES: readonly Phase[] = ["connect", "greeting", "ehlo", "starttls", "auth", "mail"];

function causeOf(code: string, rule: TroubleAdvice): Advice {
  const details = rule.detail ?? ["SOMETHING_ELSE"];
  const facts = {
    ...ROUTE,
    port: rule.port ?? ROUTE.port,
    tls: rule.tls?.[0] ?? ROUTE.tls,
    hasCredentials: rule.hasCredentials ?? code === "auth_required",
    hasToken: rule.hasToken ?? false,
    hasCertificate: rule.hasCertificate ?? false,
  };
  const trouble: RouteTrouble = {
    code,
    phase: rule.phase ?? PHASES.at(-1) as Phase,
    reason: "said by a test",
    detail: details[0] as string,
    ...(rule.hasReply || rule.replyCodes ? { reply: { code: rule.replyCodes?.[0] ?? 454, text: "later" } } : {}),
  };
  return adviceOnTrouble(trouble, facts);
}

test("every row of the table is reached, and speaks of the route and not of a template", () => {
  for (const [code, rules] of Object.entries(TROUBLE_ADVICE)) {
    expect({ code, last: rules.at(-1)?.detail }).toEqual({ code, last: undefined });
    for (const rule of rules) {
      const { problem, fix } = causeOf(code, rule);
      const filled = (text: string) =>
        text.replaceAll("{host}", "smtp.example").replace("{port}", String(rule.port ?? 587));
      expect({ code, problem: problem.replace(/\((\d*|\{code\})\)/, "") })
        .toEqual({ code, problem: filled(rule.problem).replace(/\((\d*|\{code\})\)/, "") });
      expect(problem + fix).not.toMatch(/[{}]/);
    }
  }
});

test("every sentence begins as it should, ends without a full stop and names what to do", () => {
  const rows: readonly Advice[] = [...Object.values(TROUBLE_ADVICE).flat(), ...OUTCOME_ADVICE];
  expect(rows.length).toBeGreaterThan(45);
  for (const { problem, fix } of rows) {
    expect(problem).toMatch(/^([A-Z]|\{host\})/);
    expect(fix).toMatch(/^[a-z]/);
    expect(`${problem}${fix}`).not.toMatch(/\.$|\n|n't/);
  }
});

test("every code that the engine gives to a trouble has its rows", async () => {
  const named = new Set<string>();
  for await (const file of new Glob("relay/smtp/*.ts").scan(`${import.meta.dir}/../..`)) {
    const text = await Bun.file(`${import.meta.dir}/../../${file}`).text();
    for (const [, code] of text.matchAll(/(?:troubleOf\(\s*|\bend\(|\bcode: )"([a-z_]+)"/g)) named.add(code as string);
  }
  // In the table of replies: any code of a reply. The other two never leave the engine.
  for (const inside of ["any", "chunking_broken", "content_failed"]) named.delete(inside);
  expect(named.size).toBeGreaterThan(12);
  expect([...named].filter((code) => TROUBLE_ADVICE[code] === undefined)).toEqual([]);
});

test("a code that nobody knows keeps its own reason", () => {
  const trouble = { code: "new_code", phase: "mail", reason: "What the engine says" } as const;
  expect(adviceOnTrouble(trouble, ROUTE).problem).toBe("What the engine says");
});

test.each(
  [
    ["5.7.1 sender not verified", "mail", "sender", 550, "5.7.1", "refuses the sender (550)"],
    ["later", "mail", "sender", 450, "4.7.1", "does not take this sender now (450)"],
    ["Relay access denied", "rcpt", "recipient", 554, "5.7.1", "does not send mail onwards for us (554)"],
    ["relay denied, without a code", "rcpt", "recipient", 554, undefined, "does not send mail onwards for us (554)"],
    ["unable to relay", "rcpt", "recipient", 550, "5.7.54", "does not send mail onwards for us (550)"],
    ["no such user", "rcpt", "recipient", 550, "5.1.1", "refuses the recipient (550)"],
    [
      "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
      "rcpt",
      "recipient",
      554,
      "5.7.1",
      "block list (554)",
    ],
    ["Email blocked by DNSBL", "rcpt", "recipient", 550, "5.7.1", "block list (550)"],
    ["your IP is listed at dbl.example", "mail", "sender", 550, "5.7.1", "block list (550)"],
    ["found on one or more blacklists", "final", "message", 550, undefined, "block list (550)"],
    ["450 RBL lookup: try later", "rcpt", "recipient", 450, "4.7.1", "block list (450)"],
    [
      "mailbox blocked by its owner; see our unlisted services",
      "rcpt",
      "recipient",
      550,
      "5.1.1",
      "refuses the recipient (550)",
    ],
    ["greylisted", "rcpt", "recipient", 450, "4.2.0", "does not take this recipient now (450)"],
    ["login wanted", "rcpt", "route", 530, "5.7.0", "only after a login or over TLS (530)"],
    ["too large", "mail", "message", 552, "5.3.4", "larger than the server takes (552)"],
    ["spam", "final", "message", 550, "5.7.1", "refuses the content (550)"],
    ["later", "final", "route", 451, "4.3.0", "did not take the mail"],
  ] as const,
)("%s in %s (blame %s): %s %s", (text, phase, blame, code, enhanced, problem) => {
  const reply = { code, text, ...(enhanced === undefined ? {} : { enhanced }) };
  const kind = code < 500 || (blame as Blame) === "route" ? "deferred" : "bounced";
  const outcome: Outcome = { position: 0, kind, phase, blame, reply, reason: text };
  expect(adviceOnOutcome(outcome, ROUTE)?.problem).toContain(problem);
});

test("who was sent to needs no advice, and who is uncertain a look", () => {
  const outcome = { position: 0, phase: "final", blame: "network", reason: "ok" } as const;
  expect(adviceOnOutcome({ ...outcome, kind: "sent" }, ROUTE)).toBeUndefined();
  expect(adviceOnOutcome({ ...outcome, kind: "uncertain" }, ROUTE)?.problem).toContain("never said");
});

test("an IPv6 address stands in brackets in what is to be written", () => {
  const trouble = { code: "connect_timeout", phase: "connect", reason: "" } as const;
  expect(adviceOnTrouble(trouble, { ...ROUTE, host: "2001:db8::1", port: 25 }).fix).toContain("@[2001:db8::1]:587");
});
