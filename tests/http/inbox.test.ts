import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Connection } from "../../relay/http/access.ts";
import { createApp } from "../../relay/http/app.tsx";
import { PREVIEW_POLICY } from "../../relay/http/preview.ts";
import { PAGE_POLICY } from "../../relay/http/style.ts";
import { startInbox } from "../../relay/mail/inbox.ts";
import { Secret } from "../../relay/settings/secret.ts";
import { hostileHtml } from "./hostile_mail.ts";
import { QUIET_SOURCE, sendMail, STATUS } from "./setup.ts";

const LOCAL: Connection = { listening: "127.0.0.1", peer: "127.0.0.1" };
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const ORDER = [
  "From: Shop <shop@example.com>",
  "To: Ann <ann@example.com>",
  "Subject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?=",
  "Date: Sat, 21 Nov 2026 12:00:00 +0000",
  "Message-ID: <1@example.com>",
  'Content-Type: multipart/mixed; boundary="b"',
  "",
  "--b",
  "Content-Type: text/plain",
  "",
  "plain <b>words</b>",
  "--b",
  "Content-Type: text/html",
  "",
  '<p>rich words</p><img src="cid:logo@x"><img src=cid:none>',
  "--b",
  "Content-Type: image/png",
  "Content-ID: <logo@x>",
  "Content-Transfer-Encoding: base64",
  'Content-Disposition: inline; filename="logo.png"',
  "",
  PIXEL,
  "--b",
  "Content-Type: text/html",
  "Content-Disposition: attachment; filename*=UTF-8''%3Cscript%3E%22..%2F%0d%0aX-Evil%3A%20%C3%BC.html",
  "",
  "<script>alert(1)</script>",
  "--b--",
].join("\r\n");

async function setup(contents: readonly string[] = []) {
  const directory = await mkdtemp(join(tmpdir(), "mailchute-inbox-"));
  const inbox = await startInbox({ directory });
  const app = createApp({
    source: { ...QUIET_SOURCE, status: () => Promise.resolve({ ...STATUS, playground: true }) },
    keys: { adminPassword: new Secret("pw"), metricsToken: undefined },
    now: Date.now,
    inbox,
  });
  const ids: string[] = [];
  for (const content of contents) {
    ids.push((await sendMail(inbox, content, { to: ["ann@example.com", "bcc@example.com"] })).id);
  }
  return {
    inbox,
    id: ids[0] ?? "",
    ask: (path: string, connection: Connection = LOCAL, headers: Record<string, string> = {}) =>
      app.request(`http://localhost:8025${path}`, { headers }, connection),
    async [Symbol.asyncDispose]() {
      await inbox.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

test("the inbox exists on loopback only, whatever password comes along", async () => {
  await using it = await setup([ORDER]);
  const strangers: Connection[] = [{ listening: "0.0.0.0", peer: "192.0.2.7" }, {
    listening: "0.0.0.0",
    peer: "127.0.0.1",
  }, {}];
  const key = { authorization: `Basic ${btoa("any:pw")}` };
  for (
    const path of [
      "/inbox",
      `/inbox/${it.id}`,
      `/inbox/${it.id}/preview`,
      `/inbox/${it.id}/source.eml`,
      `/inbox/${it.id}/attachments/0`,
    ]
  ) {
    expect([path, (await it.ask(path)).status]).toEqual([path, 200]);
    for (const stranger of strangers) expect((await it.ask(path, stranger, key)).status).toBe(404);
    expect((await it.ask(path, LOCAL, { "x-forwarded-for": "192.0.2.7" })).status).toBe(404);
    expect((await it.ask(path, LOCAL, { host: "evil.example" })).status).toBe(421);
  }
});

test("the status page points to the inbox, and only for whoever may open it", async () => {
  await using it = await setup();
  expect(await (await it.ask("/")).text()).toContain('href="inbox"');
  const key = { authorization: `Basic ${btoa("any:pw")}` };
  const far = await (await it.ask("/", { listening: "0.0.0.0", peer: "192.0.2.7" }, key)).text();
  expect(far).toContain("playground");
  expect(far).not.toContain('href="inbox"');
});

test("the list shows the newest first with subject, sender and everybody it went to", async () => {
  await using it = await setup([ORDER, "Subject: second\r\n\r\nx", "\r\nno header"]);
  const text = await (await it.ask("/inbox")).text();
  expect(text).toContain("3 mails.");
  const places = ["(no subject)", "second", "Grüße"].map((subject) => text.indexOf(`>${subject}</a>`));
  expect(places).toEqual([...places].sort((a, b) => a - b));
  expect(places.every((place) => place > 0)).toBe(true);
  expect(text).toContain("Shop &lt;shop@example.com&gt;");
  expect(text).toContain("ann@example.com, bcc@example.com");
  expect(text).toContain(`<a href="inbox/${it.id}">`);
});

test("an empty inbox says where to send mail, and the list reloads only when asked", async () => {
  await using it = await setup();
  expect(await (await it.ask("/inbox")).text()).toContain(`127.0.0.1:${it.inbox.port}`);
  expect(await (await it.ask("/inbox")).text()).not.toContain("http-equiv");
  expect(await (await it.ask("/inbox?poll=5")).text()).toContain('<meta http-equiv="refresh" content="5"');
});

test("a mail's page shows its header, its envelope with Bcc, its views and its attachments", async () => {
  await using it = await setup([ORDER]);
  const response = await it.ask(`/inbox/${it.id}`);
  expect(response.headers.get("content-security-policy")).toBe(PAGE_POLICY);
  const text = await response.text();
  for (
    const words of [
      "Grüße",
      "Ann &lt;ann@example.com&gt;",
      "&lt;1@example.com&gt;",
      "bcc@example.com",
      "2026-11-21T12:00:00.000Z",
    ]
  ) {
    expect(text).toContain(words);
  }
  expect(text).toContain(`<iframe src="${it.id}/preview"`);
  expect(text).toContain('sandbox=""');
  expect(text).toContain(">logo.png</a>");
  expect(text).not.toMatch(/<script|\son[a-z]+=/i);
});

test("the text view and the source view show what is in them, escaped", async () => {
  await using it = await setup([ORDER]);
  expect(await (await it.ask(`/inbox/${it.id}?tab=text`)).text()).toContain("plain &lt;b&gt;words&lt;/b&gt;");
  const source = await (await it.ask(`/inbox/${it.id}?tab=source`)).text();
  expect(source).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
  expect(source).not.toContain("<script");
});

test("a mail without HTML opens with its text, one without both with its source", async () => {
  await using it = await setup(["Subject: t\r\n\r\nonly text"]);
  const text = await (await it.ask(`/inbox/${it.id}`)).text();
  expect(text).toContain("<pre>only text");
  expect(text).not.toContain("<iframe");
  expect(await (await it.ask(`/inbox/${it.id}?tab=html`)).text()).toContain("This mail has no HTML part.");
});

test("a source is shown up to 262,144 characters, and one more is cut with a word about it", async () => {
  const header = "Subject: x\r\n\r\n";
  const rest = 262_144 - header.length - 2;
  await using exact = await setup([header + "x".repeat(rest)]);
  expect(await (await exact.ask(`/inbox/${exact.id}?tab=source`)).text()).not.toContain("Only the beginning");
  await using above = await setup([header + "x".repeat(rest + 1)]);
  expect(await (await above.ask(`/inbox/${above.id}?tab=source`)).text()).toContain("Only the beginning");
});

test("the preview has its own policy, and shows inline pictures as data", async () => {
  await using it = await setup([ORDER]);
  const response = await it.ask(`/inbox/${it.id}/preview`);
  const { headers } = response;
  expect(headers.get("content-security-policy")).toBe(PREVIEW_POLICY);
  expect(PREVIEW_POLICY).toBe(
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; " +
      "frame-ancestors 'self'",
  );
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect(headers.get("x-dns-prefetch-control")).toBe("off");
  expect(headers.get("referrer-policy")).toBe("no-referrer");
  expect(headers.get("cache-control")).toBe("no-store");
  const text = await response.text();
  expect(text).toContain(`<img src="data:image/png;base64,${PIXEL}">`);
  expect(text).toContain("cid:none");
});

test("attack: of a hostile mail the preview keeps no element that runs, fetches by itself or moves", async () => {
  await using it = await setup([
    `Content-Type: text/html\r\nSubject: <script>alert(1)</script>\r\n\r\n${
      hostileHtml("http://192.0.2.7").replaceAll("\n", "\r\n")
    }`,
  ]);
  const preview = await (await it.ask(`/inbox/${it.id}/preview`)).text();
  expect(preview).not.toMatch(/<(script|link|meta|base|object|embed|iframe|frame)\b/i);
  const page = await (await it.ask(`/inbox/${it.id}`)).text();
  expect(page).not.toContain("<script");
  expect(page).not.toContain("192.0.2.7");
});

test("attack: an attachment is only ever a download, whatever its type and name", async () => {
  await using it = await setup([ORDER]);
  const response = await it.ask(`/inbox/${it.id}/attachments/1`);
  expect(await response.text()).toContain("<script>alert(1)</script>");
  expect(response.headers.get("content-type")).toBe("application/octet-stream");
  expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  expect(response.headers.get("content-security-policy")).toContain("sandbox");
  expect(response.headers.has("x-evil")).toBe(false);
  expect(response.headers.get("content-disposition")).toMatch(
    /^attachment; filename="[A-Za-z0-9 ._-]+"; filename\*=UTF-8''[A-Za-z0-9%._~!-]+$/,
  );
});

test("the source downloads as the bytes that came", async () => {
  await using it = await setup([ORDER]);
  const response = await it.ask(`/inbox/${it.id}/source.eml`);
  expect(response.headers.get("content-disposition")).toContain(`filename="${it.id}.eml"`);
  expect(await response.text()).toBe(`${ORDER}\r\n`);
});

test("what does not exist is not found: mails, attachments, ways out of the directory", async () => {
  await using it = await setup([ORDER]);
  for (
    const path of [
      "/inbox/1",
      "/inbox/..%2f..%2fetc%2fpasswd",
      `/inbox/${it.id}/attachments/2`,
      `/inbox/${it.id}/attachments/-1`,
      `/inbox/${it.id}/attachments/0x0`,
      `/inbox/${it.id}.eml`,
      "/inbox/1/preview",
      "/inbox/1/source.eml",
      "/inbox/1/attachments/0",
    ]
  ) {
    expect([path, (await it.ask(path)).status]).toEqual([path, 404]);
  }
});

test("attack: a mail nested too deeply to be read still shows its source", async () => {
  const deep = Array.from(
    { length: 100 },
    (_, n) => `Content-Type: multipart/mixed; boundary="b${n}"\r\n\r\n--b${n}\r\n`,
  ).join("");
  await using it = await setup([`Subject: deep\r\n${deep}x`]);
  const text = await (await it.ask(`/inbox/${it.id}`)).text();
  expect(text).toContain("This mail cannot be taken apart.");
  expect(text).toContain("multipart/mixed");
  expect((await it.ask("/inbox")).status).toBe(200);
  expect((await it.ask(`/inbox/${it.id}/preview`)).status).toBe(200);
});

test("a mail cut off at any byte can be listed and opened", async () => {
  const whole = ORDER.replace(PIXEL, "AAAA");
  const cuts = Array.from({ length: Math.ceil(whole.length / 37) }, (_, n) => whole.slice(0, n * 37));
  const { readHead, readMail } = await import("../../relay/http/read_mail.ts");
  for (let cut = 0; cut <= whole.length; cut++) {
    const mail = {
      id: "1",
      receivedAt: new Date(0),
      from: "",
      to: [],
      content: new TextEncoder().encode(whole.slice(0, cut)),
    };
    const [head, read] = await Promise.all([readHead(mail), readMail(mail)]);
    expect(read.fault).toBeUndefined();
    if (cut >= whole.indexOf("\r\n\r\n") + 4) expect(head.subject).toBe("Grüße");
  }
  await using it = await setup(cuts.slice(-3));
  expect((await it.ask("/inbox")).status).toBe(200);
});
