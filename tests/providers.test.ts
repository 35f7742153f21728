import { expect, test } from "bun:test";
import { join } from "node:path";
import { parseSmtpUrl, type SmtpSettings } from "../relay/settings/smtp_url.ts";

const ROOT = join(import.meta.dir, "..");
const page = await Bun.file(join(ROOT, "docs/providers.md")).text();

/** Every URL of the page, those in its sentences too. */
const urls = [...page.matchAll(/\bsmtps?:\/\/[^\s`]+/g)].map(([url]) => url).filter((url) => /:\/\/[^`]/.test(url));

/** Reads one as the relay does; every file that it names holds what it should. */
function read(url: string): SmtpSettings {
  const readFile = (path: string) =>
    path.endsWith("_token") ? "ya29.made-by-a-test" : "-----BEGIN CERTIFICATE-----\nmade by a test\n";
  return parseSmtpUrl(url, { variable: "SMTP_URL", readFile });
}

test("every SMTP URL for providers is one that the relay takes", () => {
  expect(urls.length).toBeGreaterThan(15);
  for (const url of urls) {
    const settings = read(url);
    expect({ url, host: settings.host }).toEqual({ url, host: new URL(url).hostname });
  }
});

test("a URL with a login goes nowhere without TLS, but for the development server", () => {
  for (const url of urls) {
    const settings = read(url);
    if (settings.credentials === undefined) continue;
    const isSafe = settings.tls === "implicit" || settings.tls === "required";
    expect({ url, isSafe }).toEqual({ url, isSafe: settings.host !== "localhost" });
  }
});

test("the URLs for Gmail and Microsoft 365 log in with an access token from a file", () => {
  const withToken = urls.filter((url) => url.includes("token-file="));
  expect(withToken.map((url) => new URL(url).hostname)).toEqual(["smtp.gmail.com", "smtp.office365.com"]);
  for (const url of withToken) {
    const { credentials, tls } = read(url);
    expect({ user: credentials?.user, hasToken: credentials !== undefined && "accessToken" in credentials, tls })
      .toMatchObject({ user: expect.stringContaining("@"), hasToken: true, tls: "required" });
  }
});

test("a user that is an address is read as one", () => {
  const url = urls.find((each) => each.includes("postmaster%40")) ?? "";
  expect(read(url).credentials?.user).toBe("postmaster@mg.example.com");
});

test("every section of the overview is there, and every link into the repository leads somewhere", async () => {
  const sections = [...page.matchAll(/^## (.+)$/gm)].map(([, title]) =>
    (title ?? "").toLowerCase().replace(/[^a-z0-9 -]/g, "").replaceAll(" ", "-")
  );
  const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor ?? "");
  expect([...links].sort()).toEqual([...sections].sort());
  for (const [, file = ""] of page.matchAll(/\]\(((?:\.\.\/)?[\w/.-]+\.md)(?:#[^)]*)?\)/g)) {
    expect({ file, exists: await Bun.file(join(ROOT, "docs", file)).exists() }).toEqual({ file, exists: true });
  }
});
