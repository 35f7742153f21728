import { expect, test } from "bun:test";
import { createMailer, MailchuteError, type Mailer, type MessageInput } from "../../mod.ts";
import { fakeMailer } from "../../src/testing/testing.ts";
import { createDatabase } from "../database.ts";
import { offline } from "./offline.ts";

const MESSAGE = { from: "shop@example.com", to: "ann@example.com", subject: "s", text: "t" };
const WAIT = { key: "replies", wait: "1h" };
const FILE = { filename: "a", content: new Uint8Array(1) };

type Bad = readonly (readonly [mail: Readonly<Record<string, unknown>>, path: string])[];

/** Values that are refused, with the path that both the client and the database name. */
const BAD_VALUES: Bad = [
  [{ digest: { ...WAIT, key: "" } }, "digest.key"],
  [{ digest: { ...WAIT, key: "k".repeat(257) } }, "digest.key"],
  [{ digest: { ...WAIT, key: "a\nb" } }, "digest.key"],
  [{ digest: { ...WAIT, every: "1h" } }, "digest.every"],
  [{ digest: { key: "k", wait: "0s" } }, "digest.wait"],
  [{ digest: { key: "k", wait: "1.5h" } }, "digest.wait"],
  [{ digest: { key: "k", wait: "1w" } }, "digest.wait"],
  [{ digest: { key: "k", wait: 3600 } }, "digest.wait"],
  [{ digest: { key: "k", at: "9:00", timeZone: "UTC" } }, "digest.at"],
  [{ digest: { key: "k", at: "24:00", timeZone: "UTC" } }, "digest.at"],
  [{ digest: { key: "k", at: "09:00", timeZone: "Europe/Nowhere" } }, "digest.timeZone"],
  [{ digest: { key: "k", at: "09:00", timeZone: "CET-1CEST" } }, "digest.timeZone"],
  [{ digest: { ...WAIT, debounce: true, atMost: "long" } }, "digest.atMost"],
  [{ digest: { ...WAIT, subject: "a\r\nBcc: eve@evil.example" } }, "digest.subject"],
  [{ digest: { ...WAIT, subject: "s".repeat(999) } }, "digest.subject"],
  [{ digest: { ...WAIT, more: "" } }, "digest.more"],
  [{ digest: WAIT, text: "t".repeat(600_000), html: "h".repeat(400_001) }, "digest"],
];

/** What does not go together: the database says so, and before it the compiler. */
const BAD_TOGETHER: Bad = [
  [{ digest: { wait: "1h" } }, "digest.key"],
  [{ digest: { key: "k" } }, "digest.wait"],
  [{ digest: { key: "k", wait: "32d" } }, "digest.wait"],
  [{ digest: { ...WAIT, at: "09:00", timeZone: "UTC" } }, "digest.wait"],
  [{ digest: { key: "k", at: "09:00" } }, "digest.timeZone"],
  [{ digest: { key: "k", at: "09:00", timeZone: "+02:00" } }, "digest.timeZone"],
  [{ digest: { ...WAIT, timeZone: "UTC" } }, "digest.timeZone"],
  [{ digest: { ...WAIT, debounce: "yes" } }, "digest.debounce"],
  [{ digest: { key: "k", at: "09:00", timeZone: "UTC", debounce: true } }, "digest.debounce"],
  [{ digest: { ...WAIT, atMost: "2h" } }, "digest.atMost"],
  [{ digest: { ...WAIT, debounce: true, atMost: "59m" } }, "digest.atMost"],
  [{ digest: { ...WAIT, subject: "{{name}} and {{count}}" } }, "digest.subject"],
  [{ digest: { ...WAIT, subject: "{{#each}}" } }, "digest.subject"],
  [{ digest: { ...WAIT, more: "{{count}}" } }, "digest.more"],
  [{ digest: { ...WAIT, maxItems: 0 } }, "digest.maxItems"],
  [{ digest: { ...WAIT, maxItems: 501 } }, "digest.maxItems"],
  [{ digest: { ...WAIT, maxItems: 1.5 } }, "digest.maxItems"],
  [{ digest: { ...WAIT, maxItems: "5" } }, "digest.maxItems"],
  [{ digest: WAIT, attachments: [FILE] }, "attachments"],
  [{ digest: WAIT, cc: "b@example.com" }, "cc"],
  [{ digest: WAIT, bcc: ["b@example.com"] }, "bcc"],
  [{ digest: WAIT, to: ["b@example.com", "c@example.com"] }, "to"],
  [{ digest: WAIT, scheduledAt: "2030-01-01T00:00:00Z" }, "scheduledAt"],
  [{ digest: WAIT, expiresAt: new Date("2030-01-01T00:00:00Z") }, "expiresAt"],
];

const GOOD: readonly MessageInput[] = [
  { ...MESSAGE, digest: WAIT },
  { ...MESSAGE, digest: { key: "k".repeat(256), wait: "31d", debounce: false, subject: "{{ count }} new" } },
  { ...MESSAGE, digest: { key: "k", wait: "90s", debounce: true, atMost: "90s", more: "+{{more}}", maxItems: 500 } },
  { ...MESSAGE, digest: { key: "k", at: "00:00", timeZone: "America/Argentina/Buenos_Aires", maxItems: 1 } },
  { ...MESSAGE, digest: { key: "k", at: "23:59", timeZone: "Etc/GMT+3", maxItems: undefined } },
  { ...MESSAGE, cc: [], attachments: [], digest: { key: "k", at: "23:59", timeZone: "UTC" } },
  { ...MESSAGE, text: "t".repeat(600_000), html: "h".repeat(400_000), digest: WAIT },
];

/** The paths of the issues with which a promise is refused. */
async function pathsOf(asked: Promise<unknown>): Promise<readonly string[]> {
  return await asked.then(
    () => [],
    (error: { readonly issues: readonly { readonly path: string }[] }) => error.issues.map(({ path }) => path),
  );
}

const nameOf = (mail: object) => JSON.stringify(mail).slice(0, 100);

for (const [mail, path] of BAD_VALUES) {
  test(`the client refuses ${nameOf(mail)} and names ${path}`, async () => {
    expect(await pathsOf(offline.statement({ ...MESSAGE, ...mail } as MessageInput))).toEqual([path]);
  });
}

test("the database refuses the same, and names the same", async () => {
  await using database = await createDatabase();
  for (const [mail, path] of [...BAD_VALUES, [{ digest: "replies" }, "digest"] as const]) {
    const detail = await database.sql`select mailchute.send(${JSON.stringify({ ...MESSAGE, ...mail })}::text::jsonb)`
      .then(() => "[]", (error: { readonly detail: string }) => error.detail);
    const paths = JSON.parse(detail).map((issue: { readonly path: string }) => issue.path);
    expect({ mail: nameOf(mail), paths }).toEqual({ mail: nameOf(mail), paths: [path] });
  }
  expect(await database.sql`select from mailchute.message`).toHaveLength(0);
});

test("what does not go together is refused by the database and by the fake mailer, in the same words", async () => {
  await using database = await createDatabase();
  const [real, fake] = [createMailer(database.sql), fakeMailer()];
  const refusal = async (mailer: Mailer, mail: object) =>
    await mailer.send({ ...MESSAGE, ...mail } as MessageInput).then(() => undefined, (error: unknown) => {
      if (!(error instanceof MailchuteError)) throw error;
      return { code: error.code, message: error.message, issues: error.issues };
    });
  for (const [mail, path] of BAD_TOGETHER) {
    const seen = await refusal(real, mail);
    expect({ mail: nameOf(mail), seen }).toMatchObject({
      mail: nameOf(mail),
      seen: { code: "validation_error", issues: [{ path }] },
    });
    expect(await refusal(fake, mail)).toEqual(seen as never);
  }
  expect(await database.sql`select from mailchute.message`).toHaveLength(0);
});

test("what the client takes, the database takes", async () => {
  await using database = await createDatabase();
  for (const mail of GOOD) {
    const { text, values } = await offline.statement(mail);
    expect((await database.sql.unsafe(text, values))[0]?.created).toBe(true);
  }
  expect(await database.sql`select from mailchute.digest_item`).toHaveLength(GOOD.length);
});

test("the same key adds an item once, and with another window is a conflict", async () => {
  await using database = await createDatabase();
  const ask = async (digest: MessageInput["digest"]) => {
    const { text, values } = await offline.statement({ ...MESSAGE, digest }, { idempotencyKey: "reply/7" });
    return await database.sql.unsafe(text, values).then(
      ([row]) => row?.created,
      (error: { readonly code: string }) => error.code,
    );
  };
  expect([await ask(WAIT), await ask(WAIT), await ask({ ...WAIT, wait: "2h" })]).toEqual([true, false, "MC004"]);
  expect(await database.sql`select from mailchute.digest_item`).toHaveLength(1);
});

test("what a digest says is well-formed Unicode", async () => {
  const { values } = await offline.statement({
    ...MESSAGE,
    digest: { ...WAIT, key: "a\ud800", subject: "\udc00{{count}}" },
  });
  expect(JSON.parse(values[0] as string).digest).toEqual({ key: "a\ufffd", wait: "1h", subject: "\ufffd{{count}}" });
});
