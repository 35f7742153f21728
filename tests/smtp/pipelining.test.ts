import { expect, test } from "bun:test";
import { readySession } from "./session_record.ts";
import { CONTENT, envelopeTo, NEVER, outcomesOf, setup } from "./setup.ts";

const ENVELOPE = "MAIL FROM:<app@sender.example>\r\nRCPT TO:<ann@corp.example>\r\nDATA\r\n";
const YES = "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n";
const BODY = "Subject: hello\r\n\r\nHello\r\n.\r\n";

const mail = () => ({ envelope: envelopeTo("ann@corp.example"), content: CONTENT });

test("the envelope of the next mail is one write with the end of the one before: a mail costs one round trip", () => {
  const { session, hear, take } = readySession(["PIPELINING"]);
  session.deliver(mail());
  expect(take()).toEqual([`write ${ENVELOPE}`]);
  hear(YES);
  expect(take()).toEqual(["roomy", `write ${BODY}`]);
  // The pool gives the next one from within `roomy`; given after it, it is a write of its own.
  expect(session.canDeliver).toBe(true);
  session.deliver(mail());
  expect(take()).toEqual([`write ${ENVELOPE}`]);
  expect(session.canDeliver).toBe(false);
  hear(`250 2.0.0 taken\r\n${YES}`);
  expect(take()).toEqual(["sent final 250", "roomy", `write ${BODY}`]);
  hear("250 2.0.0 taken\r\n");
  expect(take()).toEqual(["sent final 250"]);
});

test("over a connection, the envelope of each mail but the first two is there with the end of the one before", async () => {
  const behind: boolean[] = [];
  await using relay = await setup({
    on: { content: () => void behind.push(relay.server.transcripts[0]?.client.endsWith(ENVELOPE) === true) },
  });
  const mails = Array.from({ length: 20 }, () => relay.send("ann@corp.example"));
  for (const delivery of await Promise.all(mails)) expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
  expect(relay.server.transcripts).toHaveLength(1);
  // The first reply on a connection shows whether the server is quick; behind the last there is nothing.
  expect(behind).toEqual(Array.from({ length: 20 }, (_, index) => index > 0 && index < 19));
});

test("without PIPELINING nothing is said behind a content", () => {
  const { session, hear, take } = readySession([]);
  session.deliver(mail());
  for (const reply of YES.split(/(?<=\n)/)) hear(reply);
  expect(take().at(-1)).toBe(`write ${BODY}`);
  expect(session.canDeliver).toBe(false);
});

for (
  const [reply, first, second] of [
    ["250 2.0.0 taken", "sent final 250", undefined],
    ["451 4.3.0 later", "deferred final route 451", undefined],
    ["554 5.6.0 spam", "bounced final message 554", undefined],
    ["421 4.3.2 closing", "deferred final route 421", "unavailable shutting_down"],
    ["503 5.5.1 what", "deferred final route 503", "unavailable protocol"],
  ] as const
) {
  test(`${reply} to a content says ${first} of its mail, and ${second ?? "nothing"} of the one behind it`, () => {
    const { session, hear, take } = readySession(["PIPELINING"]);
    session.deliver(mail());
    hear(YES);
    session.deliver(mail());
    take();
    hear(`${reply}\r\n`);
    if (second === undefined) return expect(take()).toEqual([first]);
    expect(take()).toEqual(["close", first, second, expect.stringMatching(/^closed /)]);
  });
}

test("a connection that ends after two envelopes makes the first mail uncertain and leaves the second untouched", () => {
  const { session, hear, take } = readySession(["PIPELINING"]);
  session.deliver(mail());
  hear(YES);
  session.deliver(mail());
  take();
  session.ended({ code: "closed", reason: "gone" });
  expect(take()).toEqual(["close", "uncertain final network none", "unavailable closed", "closed closed"]);
});

test("one reply too many to a content is not taken for a refusal of the mail behind it", () => {
  for (const reply of ["554 5.0.0 once more", "451 4.0.0 once more"]) {
    const { session, hear, take } = readySession(["PIPELINING"]);
    session.deliver(mail());
    hear(YES);
    session.deliver(mail());
    take();
    // The replies to MAIL and RCPT then stand for those to RCPT and DATA.
    hear(`250 2.0.0 taken\r\n${reply}\r\n${YES}`);
    expect(take()).toEqual(["sent final 250", "close", "unavailable protocol", "closed protocol"]);
  }
});

test("a large mail, and one that must not be begun, is not said behind another", async () => {
  const large = new TextEncoder().encode(`Subject: large\r\n\r\n${"x".repeat(98)}\r\n`.padEnd(70_000, "x\r\n"));
  const stale = { mayBegin: () => false, committing: () => {}, concluded: () => {} };
  for (const next of [{ content: large }, { content: CONTENT, witness: stale }]) {
    const gate = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    await using relay = await setup({
      on: {
        content: async (_, { count }) => {
          if (count < 2) return undefined;
          reached.resolve();
          await gate.promise;
          return undefined;
        },
      },
    });
    await relay.send("ann@corp.example");
    const held = relay.send("ann@corp.example");
    await reached.promise;
    const behind = relay.transport.send(envelopeTo("bob@corp.example"), next.content, NEVER, next.witness);
    gate.resolve();
    expect(outcomesOf(await held)).toEqual(["sent final 250"]);
    const delivery = await behind;
    expect(delivery.kind === "attempted" ? "sent" : delivery.trouble.code).toBe("witness" in next ? "aborted" : "sent");
    expect(relay.dialogue.join("\n")).not.toContain("C: .\nC: MAIL FROM:<app@sender.example>\nC: RCPT TO:<bob@");
  }
});

test("a second mail of which nothing can be said ends before the first, and a third may follow", () => {
  const { session, hear, take } = readySession(["PIPELINING", "SIZE 100"]);
  session.deliver(mail());
  hear(YES);
  session.deliver({ envelope: envelopeTo("bob@corp.example"), content: new Uint8Array(101) });
  expect(take().at(-1)).toBe("bounced mail message none");
  expect(session.canDeliver).toBe(true);
  session.deliver(mail());
  hear(`250 2.0.0 taken\r\n${YES}`);
  hear("250 2.0.0 taken\r\n");
  expect(take().filter((line) => line.startsWith("sent"))).toHaveLength(2);
});

test("what was behind a mail whose connection broke goes out over a fresh one, without an attempt", async () => {
  await using relay = await setup({
    on: { content: (_, { count, connection }) => connection === 1 && count === 3 ? { close: undefined } : undefined },
  });
  const deliveries = await Promise.all(Array.from({ length: 6 }, () => relay.send("ann@corp.example")));
  expect(deliveries.map((delivery) => outcomesOf(delivery).join()).sort()).toEqual([
    ...Array.from({ length: 5 }, () => "sent final 250"),
    "uncertain final network none",
  ]);
  expect(relay.server.mails).toHaveLength(5);
});

test("a server that was slow to answer gets no mail behind another", async () => {
  let nowMs = 0;
  let behind = 0;
  const timers = { nowMs: () => nowMs, start: () => undefined, stop: () => undefined };
  await using relay = await setup({
    on: {
      content: () => {
        nowMs += 1_001;
        if (relay.server.transcripts[0]?.client.endsWith(ENVELOPE)) behind++;
      },
    },
  }, { rim: { timers } });
  await Promise.all(Array.from({ length: 4 }, () => relay.send("ann@corp.example")));
  expect({ behind, mails: relay.server.mails.length }).toEqual({ behind: 0, mails: 4 });
});
