import { expect, test } from "bun:test";
import type { StreamedContent } from "../../relay/delivery/transport.ts";
import { chunksOf } from "../../relay/smtp/content.ts";
import { readySession, type Recorded } from "./session_record.ts";
import { CONTENT, envelopeTo, NEVER, outcomesOf, setup } from "./setup.ts";

const ENVELOPE = "MAIL FROM:<app@sender.example>\r\nRCPT TO:<ann@corp.example>\r\n";
const YES = "250 2.1.0 ok\r\n250 2.1.5 ok\r\n";
const LINES = `${"x".repeat(98)}\r\n`;

/** 100,000 octets, some lines of which begin with a dot. */
const TEXT = `Subject: large\r\n\r\n.dot\r\n${LINES.repeat(1_000)}`.slice(0, 99_998) + "\r\n";

function streamed(text: string, sizeBytes = text.length): StreamedContent {
  return {
    sizeBytes,
    needsSmtpUtf8: false,
    opening: new TextEncoder().encode(text.slice(0, 500)),
    async *chunks() {
      for (let at = 0; at < text.length; at += 7_777) yield new TextEncoder().encode(text.slice(at, at + 7_777));
    },
  };
}

function begin(offer: readonly string[], content: StreamedContent | Uint8Array = streamed(TEXT)): Recorded {
  const recorded = readySession(offer);
  recorded.session.deliver({ envelope: envelopeTo("ann@corp.example"), content });
  return recorded;
}

test("a large mail goes by BDAT: its first line asks, the rest is one chunk, and its end is a command of its own", async () => {
  const { session, hear, take, streamed } = begin(["PIPELINING", "CHUNKING"]);
  expect(take()).toEqual([`write ${ENVELOPE}BDAT 16\r\nSubject: large\r\n`]);
  hear(`${YES}250 2.0.0 16 octets\r\n`);
  expect(take()).toEqual(["write BDAT 99984\r\n", "stream"]);
  expect(await streamed()).toBe(TEXT.slice(16));
  session.handed();
  expect(take()).toEqual([]);
  hear("250 2.0.0 99984 octets\r\n");
  expect(take()).toEqual(["roomy", "write BDAT 0 LAST\r\n"]);
  hear("250 2.0.0 taken\r\n");
  expect(take()).toEqual(["sent final 250"]);
});

test("the end waits for the kernel too, when the server is sooner", () => {
  const { session, hear, take } = begin(["CHUNKING", "PIPELINING"]);
  hear(`${YES}250 ok\r\n`);
  hear("250 2.0.0 99984 octets\r\n");
  take();
  session.handed();
  expect(take()).toEqual(["roomy", "write BDAT 0 LAST\r\n"]);
});

test("a server that has the chunk before the kernel says so is still waited for as one that reads a content", () => {
  for (const [code, end] of [["closed", "ended"], ["timeout", "deadline"]] as const) {
    const { session, hear, take } = begin(["CHUNKING", "PIPELINING"]);
    hear(`${YES}250 ok\r\n`);
    hear("250 2.0.0 99984 octets\r\n");
    take();
    if (end === "ended") session.ended({ code, reason: "gone" });
    else session.deadlinePassed();
    expect(take()).toEqual(["close", "deferred body network none", `closed ${code}`]);
  }
});

test("without CHUNKING, or where it is switched off, a large mail goes by DATA, dot-stuffed", async () => {
  for (const [offer, chunking] of [[["PIPELINING"], true], [["PIPELINING", "CHUNKING"], false]] as const) {
    const recorded = readySession(offer, { chunking });
    recorded.session.deliver({ envelope: envelopeTo("ann@corp.example"), content: streamed(TEXT) });
    recorded.hear(`${YES}354 go on\r\n`);
    expect(recorded.take()).toEqual([`write ${ENVELOPE}DATA\r\n`, "stream"]);
    expect(await recorded.streamed()).toBe(TEXT.replace("\r\n.dot", "\r\n..dot"));
    recorded.session.handed();
    expect(recorded.take()).toEqual(["roomy", "write .\r\n"]);
  }
});

test("a small mail goes by DATA though CHUNKING is offered", () => {
  expect(begin(["PIPELINING", "CHUNKING"], CONTENT).take()).toEqual([`write ${ENVELOPE}DATA\r\n`]);
});

for (
  const [reply, outcome, next] of [
    ["452 4.3.1 no room", "deferred data route 452", "RSET"],
    ["552 5.3.4 too big", "bounced data message 552", "RSET"],
    ["530 5.7.0 AUTH first", "deferred data route 530", "RSET"],
  ] as const
) {
  test(`${reply} to the first chunk: ${outcome}, no content, and ${next} before the next mail`, () => {
    const { session, hear, take } = begin(["PIPELINING", "CHUNKING"]);
    take();
    hear(`${YES}${reply}\r\n`);
    expect(take()).toEqual([outcome]);
    session.deliver({ envelope: envelopeTo("ann@corp.example"), content: CONTENT });
    expect(take()).toEqual([`write ${next}\r\n${ENVELOPE}DATA\r\n`]);
  });
}

for (const code of [500, 501, 502, 503, 504]) {
  test(`${code} to the first chunk: CHUNKING is broken, and the mail is untried`, () => {
    const { hear, take } = begin(["PIPELINING", "CHUNKING"]);
    take();
    hear(`${YES}${code} 5.5.1 what is BDAT\r\n`);
    expect(take()).toEqual(["close", "unavailable chunking_broken", "closed chunking_broken"]);
  });
}

test("no recipient is left: 503 or 250 to the first chunk changes nothing, and no content follows", () => {
  for (const reply of ["503 5.5.1 no valid recipients", "554 5.5.1 no valid recipients", "250 ok"]) {
    const { session, hear, take } = begin(["PIPELINING", "CHUNKING"]);
    take();
    hear(`250 2.1.0 ok\r\n550 5.1.1 unknown\r\n${reply}\r\n`);
    expect(take()).toEqual(["bounced rcpt recipient 550"]);
    session.deliver({ envelope: envelopeTo("ann@corp.example"), content: CONTENT });
    expect(take()).toEqual([`write RSET\r\n${ENVELOPE}DATA\r\n`]);
  }
});

test("a refusal of the chunk that comes while it is on its way ends the connection, and counts", () => {
  const { hear, take } = begin(["PIPELINING", "CHUNKING"]);
  hear(`${YES}250 ok\r\n`);
  take();
  hear("552 5.3.4 too big\r\n");
  expect(take()).toEqual(["close", "bounced body message 552", "closed protocol"]);
});

test("a refusal of the whole chunk counts, and the connection goes on after RSET", () => {
  const { session, hear, take } = begin(["PIPELINING", "CHUNKING"]);
  hear(`${YES}250 ok\r\n`);
  session.handed();
  take();
  hear("452 4.3.1 no room\r\n");
  expect(take()).toEqual(["deferred body route 452"]);
  expect(session.canDeliver).toBe(true);
});

for (
  const [reply, outcome] of [
    ["554 5.6.0 spam", "bounced final message 554"],
    ["451 4.3.0 later", "deferred final route 451"],
  ] as const
) {
  test(`${reply} to the last chunk: ${outcome}`, () => {
    const { session, hear, take } = begin(["PIPELINING", "CHUNKING"]);
    hear(`${YES}250 ok\r\n`);
    session.handed();
    hear("250 2.0.0 99984 octets\r\n");
    take();
    hear(`${reply}\r\n`);
    expect(take()).toEqual([outcome]);
  });
}

test("a connection that ends before the last chunk defers, after it is uncertain", () => {
  for (
    const [isLast, outcome] of [[false, "deferred body network none"], [true, "uncertain final network none"]] as const
  ) {
    const { session, hear, take } = begin(["PIPELINING", "CHUNKING"]);
    hear(`${YES}250 ok\r\n`);
    session.handed();
    if (isLast) hear("250 2.0.0 99984 octets\r\n");
    take();
    session.ended({ code: "closed", reason: "gone" });
    expect(take()).toEqual(["close", outcome, "closed closed"]);
  }
});

test("a content that fails on its way leaves the mail untried, and its end is never written", () => {
  for (const offer of [["PIPELINING", "CHUNKING"], ["PIPELINING"]]) {
    const { session, hear, take } = begin(offer);
    hear(`${YES}${offer.length === 2 ? "250 ok" : "354 go on"}\r\n`);
    take();
    session.contentFailed("the database went away");
    expect(take()).toEqual(["close", "unavailable content_failed", "closed content_failed"]);
  }
});

test("a content with more or fewer octets than announced fails, whatever the way", async () => {
  for (const sizeBytes of [TEXT.length - 1, TEXT.length + 1]) {
    for (const offer of [["PIPELINING", "CHUNKING"], ["PIPELINING"]]) {
      const recorded = begin(offer, streamed(TEXT, sizeBytes));
      recorded.hear(`${YES}${offer.length === 2 ? "250 ok" : "354 go on"}\r\n`);
      await expect(recorded.streamed()).rejects.toThrow(/than the \d+ that were announced/);
    }
  }
});

test("of a content with more octets than announced none beyond them is written: after BDAT they would be read as commands", async () => {
  let bytes = 0;
  const sizeBytes = 20_000;
  const written = (async () => {
    for await (const chunk of chunksOf(streamed(TEXT, sizeBytes))) bytes += chunk.length;
  })();
  await expect(written).rejects.toThrow("more octets than the 20000");
  expect(bytes).toBeWithin(1, sizeBytes + 1);
});

test("a large content without a line end at its end gets one, so that the final dot stands on a line of its own", async () => {
  await using relay = await setup();
  const content = TEXT.trimEnd();
  const delivery = await relay.transport.send(envelopeTo("ann@corp.example"), streamed(content), NEVER);
  expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
  expect(relay.server.mails.map((mail) => mail.content)).toEqual([`${content}\r\n`]);
});

test("a server that does not speak the CHUNKING it offers gets all mails by DATA, those of other connections too", async () => {
  await using relay = await setup({
    offer: ["PIPELINING", "CHUNKING"],
    on: { bdat: () => "502 5.5.1 what is BDAT?" },
  }, { connections: 4 });
  const sending = Array.from(
    { length: 8 },
    () => relay.transport.send(envelopeTo("ann@corp.example"), streamed(TEXT), NEVER),
  );
  for (const delivery of await Promise.all(sending)) expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
  expect(relay.server.mails.map(({ content }) => content)).toEqual(sending.map(() => TEXT));
});

test("a content that begins with no header field of its own goes by DATA: it could be a command", () => {
  for (
    const opening of ["MAIL FROM:<eve@x.example>\r\n", "RSET\r\n", "\r\n", `X: ${"x".repeat(1_000)}\r\n`, "X: ä\r\n"]
  ) {
    const text = opening + TEXT;
    const { take } = begin(["PIPELINING", "CHUNKING"], { ...streamed(text), opening: new TextEncoder().encode(text) });
    expect(take()).toEqual([`write ${ENVELOPE}DATA\r\n`]);
  }
});
