import { expect, test } from "bun:test";
import { readSettings, SettingsError, type SmtpSettings } from "../../relay/config.ts";
import { createLog } from "../../relay/log.ts";
import { openRoute } from "../../relay/routes/open_route.ts";
import { checkRouteCertificates } from "../../relay/settings/certificates.ts";
import { systemClock } from "../../relay/time/clock.ts";
import { createAuthority } from "../smtp/certificate.ts";

const DATABASE_URL = "postgres://relay:pw@db.example.com/shop";
const CERT = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
const KEY = "-----BEGIN PRIVATE KEY-----\npw-key\n-----END PRIVATE KEY-----\n";
const FILES: Readonly<Record<string, string>> = {
  "/run/cert.pem": CERT,
  "/run/key.pem": KEY,
  "/run/both.pem": CERT + KEY,
  "/run/locked.pem": KEY.replaceAll("PRIVATE", "ENCRYPTED PRIVATE"),
  "/run/old.pem": KEY.replace("pw-key", "Proc-Type: 4,ENCRYPTED\n\npw-key"),
  "/run/token": "pw-token.1~+/=\n",
  "/run/empty": "\n",
  "/run/binary": "pw-token\u0001",
};

function read(env: Record<string, string> | string, files: Readonly<Record<string, string>> = FILES): SmtpSettings {
  const given = typeof env === "string" ? { SMTP_URL: env } : env;
  const { routes } = readSettings({ DATABASE_URL, ...given }, (path) => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error("gone"), { code: "ENOENT" });
    return text;
  });
  return (routes[0] as typeof routes[number]).smtp;
}

function refusal(env: Record<string, string> | string): string {
  try {
    read(env);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    expect(error.message).toMatch(/^Cannot (use|read) .*; /);
    expect(error.message).toContain(error.variable);
    expect(error.message).not.toMatch(/\.$|\n|pw-/);
    return error.message;
  }
  throw new Error(`accepted: ${JSON.stringify(env)}`);
}

test("every parameter arrives, and those that are not given leave no trace", () => {
  const settings = read(
    "smtp://relay:pw-smtp@h?min-tls=1.3&ca=/run/cert.pem&cert=/run/cert.pem&key=/run/key.pem&auth=login&name=me.example" +
      "&connections=8&domain-connections=2&mails-per-connection=50&connection-age=90s&chunking=no&dsn=no",
  );
  expect(settings).toMatchObject({
    ...{ port: 587, tls: "required", minTls: "TLSv1.3", authMechanism: "LOGIN", ehloName: "me.example" },
    ...{ connections: 8, connectionsPerDomain: 2, mailsPerConnection: 50, connectionAgeMs: 90_000 },
    ...{ chunking: false, dsn: "none", trustedCertificates: CERT },
  });
  expect(settings.clientCertificate?.cert).toBe(CERT);
  expect(settings.clientCertificate?.key.reveal()).toBe(KEY);
  expect(Bun.inspect(settings, { depth: 9 }) + JSON.stringify(settings)).not.toContain("pw-");
  expect(read("smtp://h?dsn=success").dsn).toBe("all");
  expect(Object.keys(read("smtp://h")).sort()).toEqual(["allowsInsecureAuth", "host", "port", "tls"]);
});

test("an access token is read anew whenever it is asked for", () => {
  const files = { ...FILES };
  const { credentials, port, tls } = read("smtp://ann%40corp.example@h?auth=xoauth2&token-file=/run/token", files);
  expect({ port, tls, user: credentials?.user }).toEqual({ port: 587, tls: "required", user: "ann@corp.example" });
  if (credentials === undefined || !("accessToken" in credentials)) throw new Error("no token was read");
  expect(credentials.accessToken()).toBe("pw-token.1~+/=");
  files["/run/token"] = "renewed";
  expect(credentials.accessToken()).toBe("renewed");
  delete files["/run/token"];
  // Trouble of the route, which says why.
  expect(() => credentials.accessToken()).toThrow("ENOENT");
});

test.each([
  ["smtp://h?min-tls=1.1", "min-tls=1.1: there is no such choice; it must be 1.2 or 1.3"],
  ["smtp://h?tls=none&min-tls=1.3", "with tls=none min-tls has no meaning"],
  ["smtp://h?tls=none&cert=/run/cert.pem&key=/run/key.pem", "with tls=none cert has no meaning"],
  ["smtp://h?cert=/run/cert.pem", "it has cert and no key"],
  ["smtp://h?key=/run/key.pem", "it has key and no cert"],
  ["smtp://h?cert=/run/key.pem&key=/run/key.pem", "that cert names holds no PEM certificate"],
  ["smtp://h?cert=/run/cert.pem&key=/run/cert.pem", "that key names holds no PEM private key"],
  ["smtp://h?cert=/run/cert.pem&key=/run/locked.pem", "is encrypted"],
  ["smtp://h?cert=/run/cert.pem&key=/run/old.pem", "is encrypted"],
  ["smtp://h?cert=/run/gone.pem&key=/run/key.pem", "ENOENT"],
  ["smtp://h?auth=plain", "auth=plain needs a user"],
  ["smtp://u:p@h?auth=cram-md5", "auth=cram-md5: there is no such choice; it must be plain, login or xoauth2"],
  ["smtp://h?auth=xoauth2&token-file=/run/token", "needs a user"],
  ["smtp://u:p@h?auth=xoauth2&token-file=/run/token", "takes a token and no password"],
  ["smtp://u@h?auth=xoauth2", "needs the file with the access token"],
  ["smtp://u@h?token-file=/run/token", "of use to xoauth2 only"],
  ["smtp://u:p@h?auth=login&token-file=/run/token", "of use to xoauth2 only"],
  ["smtp://u@h?auth=xoauth2&token-file=/run/gone", "ENOENT"],
  ["smtp://u@h?auth=xoauth2&token-file=/run/empty", "holds no access token"],
  ["smtp://u@h?auth=xoauth2&token-file=/run/binary", "holds no access token"],
  ["smtp://u@h?auth=xoauth2&token-file=/run/token&tls=none", "the token could cross the wire unencrypted"],
  ["smtp://h?connections=0", "connections=0: it is below 1"],
  ["smtp://h?connections=101", "it is above 100"],
  ["smtp://h?connections=2&domain-connections=3", "is more than the 2 connections"],
  ["smtp://h?domain-connections=5", "is more than the 4 connections"],
  ["smtp://h?mails-per-connection=many", "it is no whole number"],
  ["smtp://h?connection-age=300", "a bare number has no unit"],
  ["smtp://h?chunking=yes", "chunking=yes: there is no such choice; it must be no"],
  ["smtp://h?dsn=off", "it must be no or success"],
])("%s is refused: %s", (url, words) => {
  expect(refusal(url)).toContain(words);
  expect(refusal({ SMTP_URL_OTHER: url })).toContain("SMTP_URL_OTHER");
});

test("certificates are tried at the start: a key of another pair, and what only looks like PEM", () => {
  const authority = createAuthority();
  const [ours, other] = [authority.issue(["relay.example"]), authority.issue(["relay.example"])];
  const said = (url: string, files: Readonly<Record<string, string>>) => {
    try {
      checkRouteCertificates([{ name: "bulk", variable: "SMTP_URL_BULK", smtp: read(url, files) }]);
      return "fine";
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      return error.message;
    }
  };
  const pair = "smtp://h?cert=/c&key=/k";
  expect(said(pair, { "/c": ours.cert, "/k": ours.key })).toBe("fine");
  expect(said(pair, { "/c": ours.cert, "/k": other.key })).toBe(
    "Cannot use SMTP_URL_BULK: the client certificate and the key do not belong together; name the files of one pair",
  );
  expect(said(pair, { "/c": CERT, "/k": ours.key })).toContain(
    "SMTP_URL_BULK: the client certificate or its key cannot",
  );
  expect(said("smtp://h?ca=/c", { "/c": authority.ca })).toBe("fine");
  expect(said("smtp://h?ca=/c", { "/c": CERT })).toContain("SMTP_URL_BULK: what ca names cannot be read");
});

test("Django's certificate and key may share a file", () => {
  const tls = { EMAIL_HOST: "h", EMAIL_PORT: "587", EMAIL_USE_TLS: "true" };
  const shared = read({ ...tls, EMAIL_SSL_CERTFILE: "/run/both.pem" }).clientCertificate;
  expect(shared?.key.reveal()).toContain("PRIVATE KEY");
  const apart = { EMAIL_SSL_CERTFILE: "/run/cert.pem", EMAIL_SSL_KEYFILE: "/run/key.pem" };
  expect(read({ ...tls, ...apart }).clientCertificate?.key.reveal()).toBe(KEY);
  expect(refusal({ ...tls, EMAIL_SSL_CERTFILE: "/run/cert.pem" })).toContain("holds no PEM private key");
  expect(refusal({ ...tls, EMAIL_SSL_KEYFILE: "/run/key.pem" })).toContain("EMAIL_SSL_CERTFILE is missing");
  expect(refusal({ EMAIL_HOST: "h", ...apart })).toContain("without TLS");
});

test("a route is opened with what its URL says, and with RELAY_CONNECTIONS where it says nothing", () => {
  const context = {
    ...{ connections: 7, hostname: "relay_1", random: () => 0.5, clock: systemClock },
    log: createLog({ write: () => {}, now: () => 0 }),
  };
  const open = (url: string) =>
    openRoute({ name: "internal", variable: "SMTP_URL_INTERNAL", smtp: read(url) }, context);
  expect(open("smtp://h")).toMatchObject({ name: "internal", connections: 7 });
  expect(open("smtp://h?connections=2").connections).toBe(2);
});
