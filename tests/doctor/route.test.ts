import { expect, test } from "bun:test";
import type { Finding } from "../../relay/doctor/finding.ts";
import { checkRoute } from "../../relay/doctor/route.ts";
import { sendTestMail } from "../../relay/doctor/test_mail.ts";
import type { SmtpOptions } from "../../relay/smtp/smtp.ts";
import { type ScriptedServerOptions, startScriptedServer, TEST_AUTHORITY } from "../scripted_server.ts";
import { selfSigned } from "../smtp/certificate.ts";
import { found, notWell } from "./setup.ts";

const LOGIN = { user: "ann", password: "s3cret" };
const NAMES = ["localhost", "127.0.0.1"];
const LASTING = TEST_AUTHORITY.issue(NAMES, { days: 90 });

function routeTo(port: number, options: Partial<SmtpOptions>) {
  const base = { host: "127.0.0.1", port, tls: "none", ehloName: "relay.example", ca: TEST_AUTHORITY.ca } as const;
  return { name: "default", variable: "SMTP_URL", nowMs: Date.now(), options: { ...base, ...options } };
}

async function look(
  script: ScriptedServerOptions,
  options: Partial<SmtpOptions> = {},
  variable = "SMTP_URL",
): Promise<readonly Finding[]> {
  await using server = await startScriptedServer(script);
  return await checkRoute({ ...routeTo(server.port, options), variable });
}

test("a route that is well has every line, and all are ok", async () => {
  const script = { tls: "starttls", certificate: LASTING, auth: LOGIN, offer: ["PIPELINING", "SIZE 1000"] } as const;
  const findings = await look(script, { tls: "required", auth: LOGIN });
  expect(notWell(findings)).toEqual([]);
  expect(findings.map(({ check }) => check)).toEqual([
    "name",
    "connection",
    "banner",
    "offers",
    "tls",
    "certificate",
    "login",
  ]);
  expect(found(findings, "name")).toEqual(["ok: 127.0.0.1 is an address"]);
  expect(found(findings, "banner")[0]).toStartWith("ok: 220 scripted.example ESMTP (");
  expect(found(findings, "offers")).toEqual(["ok: PIPELINING, SIZE 1000, AUTH PLAIN LOGIN"]);
  expect(found(findings, "tls")[0]).toStartWith("ok: TLSv1.3 by STARTTLS, TLS_");
  expect(found(findings, "certificate")[0]).toStartWith(
    "ok: for localhost, 127.0.0.1, issued by Test authority, ends 20",
  );
  expect(found(findings, "login")).toEqual(["ok: accepted"]);
});

test("with implicit TLS the line says so, and the addresses of a name are shown", async () => {
  const findings = await look({ tls: "implicit", certificate: LASTING }, { tls: "implicit", host: "localhost" });
  expect(notWell(findings)).toEqual([]);
  expect(found(findings, "name")[0]).toMatch(/^ok: localhost is .*127\.0\.0\.1/);
  expect(found(findings, "tls")[0]).toContain("from the first byte");
  expect(found(findings, "login")).toEqual(["ok: none configured for localhost"]);
});

test.each([[20, "warn"], [22, "ok"]] as const)("a certificate that ends in %d days: %s", async (days, level) => {
  const certificate = TEST_AUTHORITY.issue(NAMES, { days });
  const findings = await look({ tls: "implicit", certificate }, { tls: "implicit" });
  expect(notWell(findings)).toEqual(level === "ok" ? [] : [["certificate", "warn"]]);
  if (level === "warn") expect(found(findings, "certificate")[0]).toContain(`in ${days} days → renew it on the server`);
});

test("a certificate that nobody checks is shown as such, one that is over with a warning", async () => {
  const open = { tls: "opportunistic" } as const;
  const other = await look({ tls: "starttls", certificate: selfSigned(["mx.corp.example"]) }, open);
  expect(found(other, "certificate")[0]).toContain("not verified, since tls=opportunistic takes any");
  const certificate = TEST_AUTHORITY.issue(NAMES, { expired: true });
  const over = await look({ tls: "starttls", certificate }, open);
  expect(found(over, "certificate")[0]).toMatch(/^warn: .*that is over → renew it/);
});

/** Where a route fails: the lines before are there and ok, and nothing follows. */
const FAILS: readonly (readonly [
  wrong: string,
  ScriptedServerOptions,
  Partial<SmtpOptions>,
  lines: string,
  says: string,
])[] = [
  ["an unknown name", {}, { host: "nowhere.invalid" }, "name", "No host is called nowhere.invalid"],
  ["a port where nothing listens", {}, { port: 1 }, "name connection", "Nothing listens on 127.0.0.1 port 1"],
  [
    "a service that is no SMTP server",
    { on: { connect: () => ({ raw: "SSH-2.0-x\r\n" }) } },
    {},
    "name connection banner",
    "not an SMTP server",
  ],
  [
    "a machine that is not served",
    { on: { connect: () => ({ close: "554 5.7.1 not you" }) } },
    {},
    "name connection banner",
    "does not serve this machine (554): 554 not you",
  ],
  [
    "a port that waits for TLS",
    { tls: "implicit" },
    { timeouts: { greetingMs: 50 } },
    "name connection banner",
    "says nothing",
  ],
  ["TLS to a port that has none", {}, { tls: "implicit" }, "name connection tls", "does not begin with TLS"],
  ["no STARTTLS", {}, { tls: "required" }, "name connection banner offers tls", "does not offer STARTTLS"],
  [
    "an untrusted certificate",
    { tls: "starttls", certificate: selfSigned(["mx.corp.example"]) },
    { tls: "required" },
    "name connection banner offers certificate",
    "self-signed (for mx.corp.example, issued by mx.corp.example, ends 20",
  ],
  [
    "an untrusted certificate from the first byte",
    { tls: "implicit", certificate: selfSigned(["mx.corp.example"]) },
    { tls: "implicit" },
    "name connection certificate",
    "self-signed (for mx.corp.example",
  ],
  [
    "a wrong password",
    { auth: { user: "ann", password: "other" } },
    { auth: LOGIN, allowPlaintextAuth: true },
    "name connection banner offers tls login",
    "does not accept user and password (535): 535 who are you",
  ],
  ["no AUTH", {}, { auth: LOGIN, allowPlaintextAuth: true }, "name connection banner offers tls login", "no login"],
];

test.each(FAILS)("%s fails in its line", async (_, script, options, lines, says) => {
  const findings = await look(script, options, "SMTP_URL_BULK");
  expect(findings.map(({ check }) => check).join(" ")).toBe(lines);
  expect(findings.filter(({ level }) => level === "fail")).toEqual([findings.at(-1) as Finding]);
  expect(findings.at(-1)?.found).toContain(says);
  // The setting of this route, not of another.
  expect(findings.at(-1)?.fix).not.toMatch(/SMTP_URL\b/);
  expect(JSON.stringify(findings)).not.toContain(LOGIN.password);
});

test("a server that offers AUTH to somebody without a login is worth a note", async () => {
  const findings = await look({ auth: LOGIN });
  expect(found(findings, "login")).toEqual([
    "ok: none configured for 127.0.0.1; the server offers AUTH and may want it",
  ]);
});

const MAIL = {
  id: "018f0000-0000-7000-8000-000000000001",
  from: { email: "shop@example.com" },
  to: { email: "ann@corp.example" },
  returnPath: undefined,
};

test("a test mail arrives, and the reply of the server is shown", async () => {
  await using server = await startScriptedServer({ on: { content: () => "250 2.0.0 queued as 4711" } });
  const finding = await sendTestMail(routeTo(server.port, {}), MAIL);
  expect(finding).toEqual({
    check: "test mail",
    level: "ok",
    found: "ann@corp.example: sent, the server said: 250 2.0.0 queued as 4711",
  });
  expect(server.mails).toMatchObject([{ reversePath: "shop@example.com", recipients: ["ann@corp.example"] }]);
  const [content = ""] = server.mails.map((mail) => mail.content);
  expect(content).toContain("Subject: Test of the route default by mailchute\r\n");
  expect(content).toContain("Message-ID: <018f0000-0000-7000-8000-000000000001@example.com>\r\n");
  expect(content).toContain("Auto-Submitted: auto-generated\r\n");
});

test("a test mail goes out under the relay's own return path", async () => {
  await using server = await startScriptedServer();
  await sendTestMail(routeTo(server.port, {}), { ...MAIL, returnPath: "bounces@example.com" });
  expect(server.mails).toMatchObject([{ reversePath: "bounces@example.com" }]);
});

test.each(
  [
    ["mail", "550 5.7.1 not your sender", "fail", "refuses the sender (550)", "not your sender"],
    ["rcpt", "554 5.7.1 Relay access denied", "fail", "does not send mail onwards for us (554)", "mynetworks"],
    ["rcpt", "550 5.1.1 no such user", "fail", "refuses the recipient (550)", "correct the address"],
    [
      "rcpt",
      "450 4.2.0 greylisted",
      "warn",
      "does not take this recipient now (450)",
      "wait, and try again (greylisting",
    ],
    ["content", "550 5.7.1 no DKIM", "fail", "refuses the content (550)", "SPF, DKIM"],
    ["mail", "530 5.7.0 log in first", "fail", "only after a login or over TLS (530)", "SMTP_URL_BULK"],
  ] as const,
)("a test mail that is answered at %s with %p: %s", async (at, answer, level, problem, says) => {
  await using server = await startScriptedServer({ on: { [at]: () => answer } });
  const finding = await sendTestMail({ ...routeTo(server.port, {}), variable: "SMTP_URL_BULK" }, MAIL);
  expect(finding.level).toBe(level);
  expect(finding.found).toContain(problem);
  expect(`${finding.found} ${finding.fix}`).toContain(says);
});
