import { expect, test } from "bun:test";
import type { Witness } from "../../relay/delivery/transport.ts";
import { DEFAULT_DEADLINES } from "../../relay/smtp/deadline.ts";
import { Guard } from "../../worker/guard.ts";
import { GuardedMail } from "../../worker/guarded_mail.ts";

// What worker-mailer says, and what reaches the wire, without either: the Worker of the other tests runs the real one.

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A guard over an array, with a server that says what the test says. */
function openGuard() {
  const wire = { said: [] as string[], isClosed: false };
  let pending = "";
  const guard = new Guard({
    write: (bytes) => void (pending += decoder.decode(bytes)),
    stream: () => undefined,
    flush: () => {
      if (pending !== "") wire.said.push(pending);
      pending = "";
    },
    startTls: () => undefined,
    setDeadline: () => undefined,
    close: () => void (wire.isClosed = true),
    hold: () => undefined,
  }, {
    ...{ tls: "none", ehloName: "worker.example", auth: undefined, authMechanism: undefined },
    ...{ allowPlaintextAuth: false, deadlines: DEFAULT_DEADLINES, dsn: "failures" },
  });
  const reply = (line: string) => guard.receive(encoder.encode(`${line}\r\n`));
  return { guard, wire, reply };
}

/** The same with a mail that worker-mailer may begin. */
function openMail(witness?: Witness) {
  const opened = openGuard();
  const { guard, reply } = opened;
  guard.connected();
  reply("220 hello");
  guard.say("EHLO 127.0.0.1\r\n");
  reply("250 mx.test");
  opened.wire.said.length = 0;
  const envelope = { reversePath: "app@example.com", recipients: [{ position: 3, email: "ann@example.com" }] };
  const content = encoder.encode("Subject: Hi\r\n\r\n.dot\r\n");
  const mail = new GuardedMail({ envelope, content, witness }, guard, {
    capabilities: guard.capabilities,
    deadlines: DEFAULT_DEADLINES,
  });
  guard.accept(mail);
  return { ...opened, mail };
}

/** Says all up to the content. */
function sayEnvelope({ guard, reply }: Pick<ReturnType<typeof openMail>, "guard" | "reply">): void {
  guard.say("MAIL FROM: <x>\r\n");
  reply("250 ok");
  guard.say("RCPT TO: <y>\r\n");
  reply("250 ok");
  guard.say("DATA\r\n");
  reply("354 go on");
}

const CONTENT = "From: x\r\n\r\nnothing of this\r\n.\r\n";

test("nothing that worker-mailer writes reaches the wire: the steps are its own, the words are ours", async () => {
  const opened = openMail();
  sayEnvelope(opened);
  opened.guard.say(CONTENT);
  opened.reply("250 taken");
  expect(opened.wire.said).toEqual([
    "MAIL FROM:<app@example.com>\r\n",
    "RCPT TO:<ann@example.com>\r\n",
    "DATA\r\n",
    "Subject: Hi\r\n\r\n..dot\r\n.\r\n",
  ]);
  expect(await opened.mail.result).toMatchObject({ kind: "attempted", outcomes: [{ position: 3, kind: "sent" }] });
});

test("worker-mailer reads one line of ours for each reply, whatever the server's words are", async () => {
  const { guard, reply } = openGuard();
  guard.connected();
  reply("220-a\r\n220 b DSN AUTH PLAIN");
  expect(await guard.hear()).toBe("220 go on\r\n");
  guard.say("EHLO 127.0.0.1\r\n");
  reply("250-mx\r\n250-AUTH PLAIN\r\n250-DSN\r\n250 STARTTLS");
  expect(await guard.hear()).toBe("250 go on\r\n");
});

for (
  const [name, said] of [
    ["a step that it has skipped", "DATA\r\n"],
    ["two commands at once", "RSET\r\nMAIL FROM: <x>\r\n"],
    ["something new", "BURL imap://x\r\n"],
    ["QUIT under a mail", "QUIT\r\n"],
    ["nothing", ""],
  ] as const
) {
  test(`when worker-mailer says ${name}, nothing is written and the connection ends`, async () => {
    const { guard, wire, mail } = openMail();
    expect(() => guard.say(said)).toThrow("worker-mailer went on with");
    expect(wire).toEqual({ said: [], isClosed: true });
    expect(await mail.result).toMatchObject({ kind: "unavailable", trouble: { code: "protocol" } });
  });
}

test("when worker-mailer speaks before the reply is there, nothing more is written", async () => {
  const { guard, wire, mail } = openMail();
  guard.say("MAIL FROM: <x>\r\n");
  expect(() => guard.say("RCPT TO: <y>\r\n")).toThrow();
  expect(wire.said).toHaveLength(1);
  expect(await mail.result).toMatchObject({ kind: "unavailable" });
});

test("a content that does not end as worker-mailer ends it is not sent", async () => {
  const opened = openMail();
  sayEnvelope(opened);
  expect(() => opened.guard.say("half a content")).toThrow();
  expect(opened.wire.said.join("")).not.toContain("Subject");
  expect(await opened.mail.result).toMatchObject({ outcomes: [{ kind: "deferred" }] });
});

test("from the write of the content on, an end without a reply is uncertain; before it, it is not", async () => {
  const before = openMail();
  sayEnvelope(before);
  before.guard.ended({ code: "closed", reason: "gone" });
  expect(await before.mail.result).toMatchObject({ outcomes: [{ kind: "deferred", phase: "data" }] });
  const behind = openMail();
  sayEnvelope(behind);
  behind.guard.say(CONTENT);
  behind.guard.ended({ code: "closed", reason: "gone" });
  expect(await behind.mail.result).toMatchObject({ outcomes: [{ kind: "uncertain", phase: "final" }] });
});

test("after a content that was refused the connection is of use again, by RSET", async () => {
  const opened = openMail();
  sayEnvelope(opened);
  opened.guard.say(CONTENT);
  opened.reply("554 5.7.1 no");
  opened.guard.say("RSET\r\n");
  opened.reply("250 ok");
  expect(await opened.mail.result).toMatchObject({ outcomes: [{ kind: "bounced", reply: { code: 554 } }] });
  expect(opened.guard.trouble).toBeUndefined();
});

test("a witness who forbids the final dot ends the mail before a byte of its content", async () => {
  const forbid = () => {
    throw new Error("the lease is over");
  };
  const opened = openMail({ committing: forbid, concluded: () => undefined });
  const result = opened.mail.result.catch((error: Error) => error.message);
  sayEnvelope(opened);
  opened.guard.say(CONTENT);
  expect(await result).toBe("the lease is over");
  expect(opened.wire.said.at(-1)).toBe("DATA\r\n");
});

test("once the connection has ended, worker-mailer hears an error, where its own reader would spin for ever", async () => {
  const { guard } = openGuard();
  guard.connected();
  const waiting = guard.hear().catch((error: Error) => error.message);
  guard.ended({ code: "closed", reason: "gone" });
  expect(await waiting).toBe("gone");
  await expect(guard.hear()).rejects.toThrow("gone");
  expect(() => guard.say("EHLO x\r\n")).toThrow("gone");
});

test("that worker-mailer gives up where it was not told to is trouble of the connection", async () => {
  const { guard, mail } = openMail();
  guard.gaveUp(new Error("what now"), mail);
  expect(await mail.result).toMatchObject({ trouble: { code: "protocol", reason: "worker-mailer gave up: what now" } });
});
