import { expect, test } from "bun:test";
import { readSettings, type SmtpSettings } from "../../relay/config.ts";

const DATABASE_URL = "postgres://relay:pw@db.example.com/shop";

function smtp(env: Record<string, string> | string, files: Record<string, string> = {}): SmtpSettings {
  const given = typeof env === "string" ? { SMTP_URL: env } : env;
  const settings = readSettings({ DATABASE_URL, ...given }, (path) => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error("gone"), { code: "ENOENT" });
    return text;
  });
  const [route] = settings.routes;
  if (route === undefined) throw new Error("no SMTP server was read");
  return route.smtp;
}

function login(settings: SmtpSettings): readonly (string | undefined)[] {
  const { credentials } = settings;
  if (credentials === undefined || "accessToken" in credentials) throw new Error("no password was read");
  return [credentials.user, credentials.password.reveal()];
}

test("smtp:// without credentials is port 25 with STARTTLS if offered", () => {
  expect(smtp("smtp://mail.example.com")).toEqual({
    host: "mail.example.com",
    port: 25,
    tls: "opportunistic",
    allowsInsecureAuth: false,
  });
});

test("smtp:// with credentials is port 587 with STARTTLS required", () => {
  const settings = smtp("smtp://mailer:0123456@mail.example.com");
  expect(settings).toMatchObject({ port: 587, tls: "required" });
  expect(login(settings)).toEqual(["mailer", "0123456"]);
});

test("smtps:// is implicit TLS on port 465, and so is ?tls=implicit", () => {
  expect(smtp("smtps://mail.example.com")).toMatchObject({ port: 465, tls: "implicit" });
  expect(smtp("smtp://mail.example.com?tls=implicit")).toMatchObject({ port: 465, tls: "implicit" });
  expect(smtp("smtps://mail.example.com:10465/?tls=implicit")).toMatchObject({ port: 10_465, tls: "implicit" });
});

test("every tls mode can be asked for", () => {
  for (const tls of ["implicit", "required", "opportunistic", "none"] as const) {
    expect(smtp(`smtp://mail.example.com:2525?tls=${tls}`)).toMatchObject({ port: 2_525, tls });
  }
});

test("percent-encoded credentials and IPv6 hosts arrive decoded", () => {
  const settings = smtp("smtp://ann%40example.com:p%40ss%3A%2F%23%25@[::1]:587");
  expect(settings.host).toBe("::1");
  expect(login(settings)).toEqual(["ann@example.com", "p@ss:/#%"]);
});

test("the EHLO name and trusted certificates come from the URL", () => {
  const pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
  const settings = smtp("smtp://mail.example.com?name=relay.example.com&ca=/run/ca.pem", { "/run/ca.pem": pem });
  expect(settings).toMatchObject({ ehloName: "relay.example.com", trustedCertificates: pem });
});

test("credentials without TLS are refused unless somebody says insecure-auth=yes", () => {
  for (const tls of ["none", "opportunistic"]) {
    expect(() => smtp(`smtp://u:p@h?tls=${tls}`)).toThrow("insecure-auth=yes");
    expect(smtp(`smtp://u:p@h?tls=${tls}&insecure-auth=yes`).allowsInsecureAuth).toBe(true);
  }
  expect(smtp("smtp://u:p@h?insecure-auth=yes").allowsInsecureAuth).toBe(false);
});

test("smtps:// on the ports of STARTTLS is refused with both ways out", () => {
  for (const port of [25, 587]) {
    expect(() => smtp(`smtps://mail.example.com:${port}`)).toThrow(
      `Cannot use SMTP_URL: smtps:// is TLS from the first byte, which nobody serves on port ${port}; ` +
        `write smtp:// with port ${port} for STARTTLS, or smtps:// with port 465`,
    );
  }
});

test("smtp:// on port 465 is refused unless its tls mode is spelled out", () => {
  expect(() => smtp("smtp://mail.example.com:465")).toThrow("write smtps:// with port 465");
  expect(smtp("smtp://mail.example.com:465?tls=required").tls).toBe("required");
});

test("each malformed SMTP_URL is refused by name", () => {
  const cases: [string, string][] = [
    ["mail.example.com", "smtp:// or smtps://"],
    ["smtp://mail.example.com:abc", "its host or its port cannot be read"],
    ["smtp://mail.example.com:65536", "write a port from 1 to 65535"],
    ["smtp://mail.example.com:0", "port 0"],
    ["http://mail.example.com", "smtp:// or smtps://"],
    ["smtp:///path", "follows the host"],
    ["smtp://", "names no host"],
    ["smtp://u@h", "a user but no password"],
    ["smtp://:p@h", "a password but no user"],
    ["smtp://u:p#x@h", "%23 for #"],
    ["smtp://u:p%zz@h", "two hex digits"],
    ["smtp://h?tls=yes", "tls=yes: there is no such choice; it must be implicit, required"],
    ["smtp://h?tls=none&tls=required", "given twice"],
    ["smtp://h?pool=4", 'no parameter "pool"'],
    ["smtp://h?name=", "is empty"],
    ["smtp://h?name=a%0d%0aRSET", "no host name that EHLO could give"],
    ["smtp://h?insecure-auth=true", "it must be yes"],
    ["smtps://h?tls=required", "write smtp:// with ?tls=required"],
    ["smtp://h?ca=/run/gone.pem", "ENOENT"],
    ["smtp://h?ca=/run/key.pem", "no PEM certificate"],
  ];
  for (const [url, words] of cases) {
    expect(() => smtp(url, { "/run/key.pem": "-----BEGIN PRIVATE KEY-----" })).toThrow(words);
    expect(() => smtp(url, { "/run/key.pem": "" })).toThrow("SMTP_URL");
  }
});

test("Django's variables mean what they mean in Django", () => {
  expect(smtp({ EMAIL_HOST: "h" })).toEqual({ host: "h", port: 25, tls: "none", allowsInsecureAuth: false });
  expect(smtp({ EMAIL_PORT: "2525" })).toMatchObject({ host: "localhost", port: 2_525 });
  expect(smtp({ EMAIL_HOST: "h", EMAIL_PORT: "587", EMAIL_USE_TLS: "True" })).toMatchObject({ tls: "required" });
  expect(smtp({ EMAIL_HOST: "h", EMAIL_PORT: "465", EMAIL_USE_SSL: "1" })).toMatchObject({ tls: "implicit" });
  expect(smtp({ EMAIL_HOST: "h", EMAIL_TIMEOUT: "10" })).toMatchObject({ timeoutMs: 10_000 });
  expect(smtp({ EMAIL_HOST: "h", EMAIL_HOST_USER: "", EMAIL_HOST_PASSWORD: "" }).credentials).toBeUndefined();
});

test("a Django password of digits or the word true stays text", () => {
  for (const EMAIL_HOST_PASSWORD of ["0123456", "true", "None", "1.50"]) {
    const settings = smtp({
      EMAIL_HOST: "h",
      EMAIL_PORT: "587",
      EMAIL_USE_TLS: "true",
      EMAIL_HOST_USER: "true",
      EMAIL_HOST_PASSWORD,
    });
    expect(login(settings)).toEqual(["true", EMAIL_HOST_PASSWORD]);
  }
});

test("each impossible combination of Django's variables is refused", () => {
  const tls = { EMAIL_HOST: "h", EMAIL_PORT: "587", EMAIL_USE_TLS: "true" };
  const cases: [Record<string, string>, string][] = [
    [{ ...tls, EMAIL_USE_SSL: "true" }, "Cannot use both EMAIL_USE_TLS and EMAIL_USE_SSL"],
    [{ EMAIL_HOST: "h", SMTP_URL: "smtp://h" }, "Cannot use both SMTP_URL and EMAIL_HOST"],
    [{ EMAIL_USE_TLS: "true", SMTP_URL: "smtp://h" }, "Cannot use both SMTP_URL and EMAIL_USE_TLS"],
    [{ EMAIL_HOST: "h", EMAIL_PORT: "smtp" }, 'Cannot use EMAIL_PORT="smtp": it is no whole number'],
    [{ EMAIL_HOST: "h", EMAIL_PORT: "0" }, "EMAIL_PORT"],
    [{ EMAIL_HOST: "h", EMAIL_PORT: "65536" }, "EMAIL_PORT"],
    [{ EMAIL_HOST: "h", EMAIL_USE_TLS: "yes" }, "EMAIL_USE_TLS"],
    [{ EMAIL_HOST: "h", EMAIL_TIMEOUT: "5s" }, "EMAIL_TIMEOUT"],
    [{ EMAIL_HOST: "h", EMAIL_USE_SSL: "true" }, "set EMAIL_PORT=465"],
    [{ EMAIL_HOST: "h", EMAIL_USE_SSL: "true", EMAIL_PORT: "587" }, "set EMAIL_PORT=465"],
    [{ EMAIL_HOST: "h", EMAIL_USE_TLS: "true", EMAIL_PORT: "465" }, "EMAIL_USE_SSL=true in place of EMAIL_USE_TLS"],
    [{ EMAIL_HOST: "h", EMAIL_PORT: "465" }, "set EMAIL_USE_SSL=true"],
    [{ ...tls, EMAIL_HOST_USER: "u" }, "EMAIL_HOST_PASSWORD is missing"],
    [{ ...tls, EMAIL_HOST_PASSWORD: "p" }, "EMAIL_HOST_USER is missing"],
    [{ EMAIL_HOST: "h", EMAIL_HOST_USER: "u", EMAIL_HOST_PASSWORD: "p" }, "set EMAIL_USE_TLS=true"],
  ];
  for (const [env, words] of cases) expect(() => smtp(env)).toThrow(words);
});

test("DEFAULT_FROM_EMAIL is accepted and answered with a notice", () => {
  const settings = readSettings({ DATABASE_URL, SMTP_URL: "smtp://h", DEFAULT_FROM_EMAIL: "Shop <a@b>" }, () => "");
  expect(settings.notices).toHaveLength(1);
  expect(settings.notices[0]).toContain("DEFAULT_FROM_EMAIL");
});
