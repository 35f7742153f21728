import { expect, test } from "bun:test";
import type { ExplainedMail, ExplainedRow, Surroundings } from "../../relay/explain/explained_mail.ts";
import { explain } from "../../relay/explain/explanation.ts";

const NOW = new Date("2026-11-21T12:00:00Z");
const ID = "018f0000-0000-7000-8000-000000000001";

function inMinutes(minutes: number): Date {
  return new Date(NOW.getTime() + minutes * 60_000);
}

function mail(row: Partial<ExplainedRow>, more: Partial<ExplainedMail> = {}): ExplainedMail {
  return {
    ...{ id: ID, app: "shop", messageId: `<${ID}@shop.example.com>`, state: "queued", attempts: [], suppressions: [] },
    recipients: [{ position: 0, address: "Ann@example.com", state: "queued", at: NOW.toISOString() }],
    row: { due: NOW, throttle: undefined, crashes: 0, ahead: 0, holder: undefined, ...row },
    ...more,
  };
}

const AROUND: Surroundings = {
  ...{ database: "home", now: NOW, copyOf: undefined, throttleFullAt: undefined, pauses: [], routes: [] },
  relays: { alive: 1, last: { host: "relay1", at: NOW } },
};

/** The codes in order, and all texts and fixes in one. */
function explained(of: ExplainedMail, around: Partial<Surroundings> = {}) {
  const reasons = explain(of, { ...AROUND, ...around });
  return {
    codes: reasons.map(({ code }) => code),
    text: reasons.map(({ text, fix }) => `${text} → ${fix}`).join("\n"),
  };
}

test("a mail that is due says since when, and how many stand before it", () => {
  const next = explained(mail({ due: inMinutes(-2) }));
  expect(next.codes).toEqual(["due"]);
  expect(next.text).toContain("due since 2026-11-21T11:58:00Z (2 minutes ago), and it is the next of its lane");
  expect(explained(mail({ due: inMinutes(-2), ahead: 17 })).text).toContain("17 mails of its lane stand before it");
  // Counted no further.
  expect(explained(mail({ due: inMinutes(-2), ahead: 10_000 })).text).toContain("10000 or more mails of its lane");
});

test("a database that is a copy, or that nobody serves, comes before everything else", () => {
  const paused = { pauses: [{ key: "all", since: NOW, by: "ops" }] };
  const copy = explained(mail({}), { ...paused, copyOf: "db:5432/shop" });
  expect(copy.codes).toEqual(["copy", "paused", "due"]);
  expect(copy.text).toContain("drained at db:5432/shop");
  const gone = { alive: 0, last: { host: "relay1", at: inMinutes(-90) } };
  const unserved = explained(mail({}), { ...paused, relays: gone });
  expect(unserved.codes).toEqual(["no_relay", "paused", "due"]);
  expect(unserved.text).toContain("relay1 at 2026-11-21T10:30:00Z (2 hours ago)");
  expect(explained(mail({}), { relays: { alive: 0, last: undefined } }).text).toContain("none has served it");
});

test("a lease is that of a relay that lives, or of one that has not been heard of", () => {
  const holder = { host: "relay1", pid: 7, isAlive: true, seenAt: inMinutes(-3) };
  expect(explained(mail({ due: inMinutes(2), holder })).text).toContain(
    "the relay on relay1 (pid 7) holds it, with a lease until 2026-11-21T12:02:00Z (in 2 minutes)",
  );
  const dead = explained(mail({ due: inMinutes(2), holder: { ...holder, isAlive: false } }));
  expect(dead.codes).toEqual(["dead_relay"]);
  expect(dead.text).toContain("not been heard of since 2026-11-21T11:57:00Z (3 minutes ago)");
  expect(dead.text).toContain("when the lease ends, at 2026-11-21T12:02:00Z");
});

test("a pause says of what, since when, by whom and why, and how it ends; those of other mail are left out", () => {
  const batch = "018f0000-0000-7000-8000-0000000000b1";
  const pauses = ["stream=bulk", "stream=news", "app=crm", `batch=${batch}`, "domain=example.com"].map((key) => (
    { key, since: inMinutes(-60), by: "ops", reason: "a wrong link" }
  ));
  const of = (more: Partial<ExplainedMail>) => explained(mail({ throttle: "paused:x" }, more), { pauses }).text;
  expect(of({ stream: "bulk" })).toContain(
    "stream bulk is paused since 2026-11-21T11:00:00Z (1 hour ago) by ops: a wrong link. → mailchute resume --stream bulk",
  );
  expect(of({ batchId: batch })).toContain(`mailchute batch ${batch} --resume`);
  expect(of({})).toContain("mailchute resume --to-domain example.com");
  expect(of({ app: "crm" })).toContain("app crm is paused since");
  expect(of({ app: "crm" })).toContain("mailchute resume --app crm");
  expect(of({ stream: "bulk" })).not.toMatch(/news|crm/);
});

test("a throttle says when a token comes", () => {
  const throttle = "stream:bulk=60/h";
  // A bucket of 60, one a minute: full in 90 minutes, it has its first token in 31.
  const waits = explained(mail({ due: inMinutes(60), throttle }), { throttleFullAt: inMinutes(90) });
  expect(waits.codes).toEqual(["throttled"]);
  expect(waits.text).toContain("the limit stream:bulk=60/h: a token comes at 2026-11-21T12:31:00Z (in 31 minutes)");
  expect(explained(mail({ due: inMinutes(60), throttle })).text).toContain("there is a token now");
});

test("a schedule, a deferral, a route that is out and a person who has to decide each say what comes next", () => {
  const scheduledAt = inMinutes(30).toISOString();
  expect(explained(mail({ due: inMinutes(30) }, { state: "scheduled", scheduledAt })).text).toContain(
    "scheduled for 2026-11-21T12:30:00Z (in 30 minutes)",
  );
  const attempt = { number: 2, at: inMinutes(-5).toISOString(), address: "Ann@example.com", route: "default" };
  const recipients = [{ position: 0, address: "Ann@example.com", state: "deferred", at: NOW.toISOString() }];
  const deferred = explained(
    mail({ due: inMinutes(10) }, {
      state: "deferred",
      recipients,
      attempts: [{ ...attempt, outcome: "deferred", reply: "450 busy" }],
    }),
    {
      routes: [{ name: "default", state: "open", since: inMinutes(-1), reason: "refused" }, {
        name: "b",
        state: "closed",
      }],
    },
  );
  expect(deferred.codes).toEqual(["route_out", "deferred"]);
  expect(deferred.text).toContain("route default is out since 2026-11-21T11:59:00Z (1 minute ago): refused");
  expect(deferred.text).toContain(
    "Attempt 2 for Ann@example.com by default at 2026-11-21T11:55:00Z (5 minutes ago) was deferred: 450 busy.",
  );
  expect(deferred.text).toContain("next attempt is due at 2026-11-21T12:10:00Z (in 10 minutes)");
  const held = explained(
    mail({ due: undefined }, {
      state: "held",
      recipients: [{ position: 0, address: "ann@example.com", state: "held", at: NOW.toISOString() }],
      attempts: [{ ...attempt, outcome: "uncertain", reply: "lost" }],
    }),
  );
  expect(held.codes).toEqual(["held"]);
  expect(held.text).toContain(`→ look for <${ID}@shop.example.com> in the log`);
  expect(held.text).toContain(`mailchute retry ${ID} --accept-duplicate`);
  expect(explained(mail({ due: inMinutes(1) })).codes).toEqual(["given_back"]);
  expect(explained(mail({ crashes: 3 })).codes).toEqual(["tried_alone", "due"]);
});

test("an item says which window it waits for, and later in which digest it is", () => {
  const item = { state: "scheduled", scheduledAt: inMinutes(60).toISOString() };
  const waiting = explained(mail({ due: undefined }, { ...item, digest: { key: "replies" } }));
  expect(waiting.codes).toEqual(["digest"]);
  expect(waiting.text).toContain("the digest replies: it ends at 2026-11-21T13:00:00Z (in 1 hour) at the latest.");
  const late = explained(mail({ due: undefined }, { digest: { key: "replies" } }));
  expect(late.text).toContain("the digest replies: a relay closes it when it has ended.");
  const digest = "018f0000-0000-7000-8000-0000000000d1";
  const inside = explained(mail({}, { row: undefined, digest: { key: "replies", id: digest } }));
  expect(inside.codes).toEqual(["digest"]);
  expect(inside.text).toBe(`It is in the digest replies, which is the mail ${digest}. → mailchute explain ${digest}`);
  // The digest itself, and an item that went out alone, are mails as any other.
  expect(explained(mail({}, { digest: { key: "replies", items: 3 } })).codes).toEqual(["due"]);
  expect(explained(mail({}, { digest: { key: "replies", id: ID } })).codes).toEqual(["due"]);
});

test("what a Worker has left to a relay says why, and waits for no limit", () => {
  const left = explained(mail({ due: inMinutes(60), throttle: "relay:an address needs SMTPUTF8" }));
  expect(left.codes).toEqual(["left_to_relay"]);
  expect(left.text).toContain("A Worker has left it to a relay: an address needs SMTPUTF8.");
});

test("a mail that the server may have already names the retry that is not refused", () => {
  const attempt = { number: 1, at: NOW.toISOString(), address: "Ann@example.com", route: "default", reply: "lost" };
  const uncertain = { attempts: [{ ...attempt, outcome: "uncertain" }] };
  const as = (state: string) => ({
    ...{ state, ...uncertain },
    recipients: [{ position: 0, address: "Ann@example.com", state, at: NOW.toISOString() }],
  });
  const named = `mailchute retry ${ID} --accept-duplicate (`;
  expect(explained(mail({ due: inMinutes(5) }, as("deferred"))).text).toContain(named);
  expect(explained({ ...mail({}), ...as("expired"), row: undefined }).text).toContain(named);
  // A refusal since then says that the server has it not.
  expect(explained({ ...mail({}), ...as("bounced"), row: undefined }).text).toContain(`mailchute retry ${ID} (`);
});

test("a mail of another database than home names commands that find it", () => {
  const crm = { database: "crm" };
  const suppressions = [{
    ...{ address: "ann@example.com", scope: "all", reason: "complaint", by: "ops", createdAt: NOW.toISOString() },
  }];
  const recipients = [{ position: 0, address: "ann@example.com", state: "held", at: NOW.toISOString() }];
  const scheduled = { state: "scheduled", scheduledAt: inMinutes(30).toISOString() };
  const held = explained(mail({ due: undefined }, { state: "held", recipients }), crm).text;
  expect(held).toContain(`retry ${ID} --accept-duplicate --database crm`);
  expect(held).toContain(`settle --sent ${ID} --database crm`);
  expect(explained(mail({ due: inMinutes(30) }, scheduled), crm).text).toContain(`retry ${ID} --database crm`);
  expect(explained(mail({}, { suppressions }), crm).text).toContain("--scope all --database crm");
  expect(explained(mail({}), { ...crm, copyOf: "db:5432/crm" }).text).toContain("adopt-copy --keep --database crm");
});

test("a mail that has ended says how for each recipient, and names the row of the suppression list", () => {
  const at = inMinutes(-1).toISOString();
  const row = { address: "ann@example.com", scope: "app:shop", reason: "complaint", by: "ops", createdAt: at };
  const ended = explained({
    ...mail({}),
    row: undefined,
    recipients: [
      {
        position: 0,
        address: "Ann@example.com",
        state: "suppressed",
        reason: "On the suppression list: complaint",
        at,
      },
      { position: 1, address: "bob@example.com", state: "bounced", reason: "550 no such user", at },
      { position: 2, address: "carl@example.com", state: "sent", at },
    ],
    suppressions: [row],
  });
  expect(ended.codes).toEqual(["final", "final", "final"]);
  expect(ended.text).toContain(
    "on the suppression list for app:shop since 2026-11-21T11:59:00Z (1 minute ago), by ops: complaint",
  );
  expect(ended.text).toContain(
    "bob@example.com is bounced since 2026-11-21T11:59:00Z (1 minute ago): 550 no such user.",
  );
  const waits = explained(mail({}, { suppressions: [row] }));
  expect(waits.codes).toEqual(["suppressed", "due"]);
  expect(waits.text).toContain("mailchute suppress --remove ann@example.com --scope app:shop");
});

test("a mail that must go says what it goes past, and that a bounce stops it all the same", () => {
  const row = (reason: string, scope: string) => (
    { address: "ann@example.com", scope, reason, by: "ops", createdAt: inMinutes(-1).toISOString() }
  );
  const [word, bounce] = [row("unsubscribe", "app:shop"), row("bounce", "all")];
  const goes = explained(mail({}, { overrideSuppression: true, suppressions: [word] }));
  expect(goes.codes).toEqual(["overridden", "due"]);
  expect(goes.text).toContain("by ops: unsubscribe; that does not stop it (overrideSuppression). → undefined");
  expect(explained(mail({}, { suppressions: [word] })).codes).toEqual(["suppressed", "due"]);
  const stops = explained(mail({}, { overrideSuppression: true, suppressions: [bounce, word] }));
  expect(stops.codes).toEqual(["suppressed", "overridden", "due"]);
  expect(stops.text).toContain("mailchute suppress --remove ann@example.com --scope all");
});
