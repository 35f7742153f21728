import { expect, test } from "bun:test";
import { join } from "node:path";
import { SettingsError } from "../relay/config.ts";
import { parseSmtpUrl, type SmtpSettings } from "../relay/settings/smtp_url.ts";

const ROOT = join(import.meta.dir, "..");
const page = await Bun.file(join(ROOT, "docs/providers.md")).text();

/** Every URL of the page, those in its sentences too. */
const urls = [...page.matchAll(/\bsmtps?:\/\/[^\s`]+/g)].map(([url]) => url).filter((url) => /:\/\/[^`]/.test(url));

/** Parameters that a later version takes: a URL with one of them may be refused because of it, and for nothing else. */
const LATER = ["connections", "auth", "token-file"];

function read(url: string): SmtpSettings | "later" {
  // One object for both: the variable is for error texts.
  const source = { variable: "SMTP_URL", readFile: () => "-----BEGIN CERTIFICATE-----\nmade by a test\n" };
  try {
    return parseSmtpUrl(url, source);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    const isLater = LATER.some((name) => new URL(url).searchParams.has(name));
    if (!isLater) throw error;
    // A user without a password is the form for a token, and a fault until there are tokens.
    expect(error.message).toMatch(/there is no parameter|it has a user but no password/);
    return "later";
  }
}

test("every SMTP URL for providers is one that the relay takes", () => {
  expect(urls.length).toBeGreaterThan(15);
  for (const url of urls) {
    const settings = read(url);
    if (settings === "later") continue;
    expect({ url, host: settings.host }).toEqual({ url, host: new URL(url).hostname });
  }
});

test("a URL with a login goes nowhere without TLS, but for the development server", () => {
  for (const url of urls) {
    const settings = read(url);
    if (settings === "later" || settings.credentials === undefined) continue;
    const isSafe = settings.tls === "implicit" || settings.tls === "required";
    expect({ url, isSafe }).toEqual({ url, isSafe: settings.host !== "localhost" });
  }
});

test("a user that is an address is read as one", () => {
  const url = urls.find((each) => each.includes("postmaster%40")) ?? "";
  const settings = read(url);
  expect(settings === "later" ? undefined : settings.credentials?.user).toBe("postmaster@mg.example.com");
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
