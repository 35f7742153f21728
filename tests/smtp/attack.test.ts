import { expect, test } from "bun:test";
import { createSmtpTransport } from "../../relay/smtp/smtp.ts";
import { CONTENT, envelopeTo, NEVER, outcomesOf, setup, troubleIn } from "./setup.ts";

const ATTACKS = [
  "b@y.example>\r\nRCPT TO:<evil@y.example",
  '"a\r\nRCPT TO:<e@x.example>\r\n"@y.example',
  "b@y.example\n",
  "b@y.example\r",
  "b\u0000@y.example",
  "b\u007f@y.example",
  "b\u0085@y.example",
  "b@y.example> NOTIFY=NEVER",
  "<b@y.example",
  "",
];

test.each(ATTACKS)("the recipient %p is refused before a byte of the mail is written", async (email) => {
  await using relay = await setup();
  const delivery = await relay.transport.send(envelopeTo("ann@corp.example", email), CONTENT, NEVER);
  expect(outcomesOf(delivery)).toEqual(["bounced mail message none", "bounced mail message none"]);
  expect(relay.server.transcripts).toEqual([]);
});

test.each(ATTACKS.slice(0, -1))(
  "the return path %p is refused before a byte of the mail is written",
  async (reversePath) => {
    await using relay = await setup();
    const delivery = await relay.transport.send({ ...envelopeTo("ann@corp.example"), reversePath }, CONTENT, NEVER);
    expect(outcomesOf(delivery)).toEqual(["bounced mail message none"]);
    expect(relay.server.transcripts).toEqual([]);
  },
);

test.each(["x\r\nMAIL FROM:<evil@y.example>", "", "a b", "[1.2.3.4", "x\u0000", "ü.example"])(
  "the EHLO name %p is refused (GHSA-vvjj-xcjg-gr5g)",
  (ehloName) => {
    expect(() => createSmtpTransport({ host: "127.0.0.1", port: 25, tls: "none", ehloName })).toThrow(
      "Cannot use ehloName",
    );
  },
);

test("a final dot in the content ends nothing", async () => {
  await using relay = await setup();
  const content = "Subject: x\r\n\r\n.\r\nMAIL FROM:<evil@y.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n.\r\n";
  await relay.transport.send(envelopeTo("ann@corp.example"), new TextEncoder().encode(content), NEVER);
  expect(relay.server.mails).toMatchObject([{ content, reversePath: "app@sender.example" }]);
});

test("a second reply in the segment of the greeting is no answer to EHLO", async () => {
  await using relay = await setup({ on: { connect: () => ({ raw: "220 mx\r\n250-mx\r\n250 AUTH PLAIN\r\n" }) } });
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "protocol" });
  expect(relay.server.transcripts[0]?.client).not.toContain("MAIL");
});

test("two replies in one segment are not taken as one: 250 and 550 to MAIL", async () => {
  await using relay = await setup({
    offer: [],
    on: { mail: () => ({ raw: "250 ok\r\n550 5.7.1 go away\r\n" }) },
  });
  // The 550 was there before RCPT was written, so it is nobody's answer.
  expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["deferred rcpt route none"]);
  expect(relay.server.mails).toEqual([]);
});

test("a reply too many behind the 250 of one mail is not taken for the next one", async () => {
  await using relay = await setup({
    on: { content: (_, { connection }) => connection === 1 ? { raw: "250 ok\r\n250 ok\r\n" } : undefined },
  });
  const deliveries = await Promise.all([relay.send("ann@corp.example"), relay.send("bob@corp.example")]);
  expect(deliveries.map(outcomesOf)).toEqual([["sent final 250"], ["sent final 250"]]);
  expect(relay.server.transcripts).toHaveLength(2);
  expect(relay.server.mails).toMatchObject([{ recipients: ["bob@corp.example"] }]);
});

test("an unsolicited reply on an idle connection costs the connection and no mail", async () => {
  for (const text of ["250 surprise", "421 4.3.2 closing", "354 what"]) {
    await using relay = await setup();
    await relay.send("ann@corp.example");
    relay.server.interject(`${text}\r\n`);
    await relay.server.whenEmpty();
    expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
    expect(relay.server.transcripts).toHaveLength(2);
  }
});

test("an endless reply ends the connection", async () => {
  await using relay = await setup({ on: { ehlo: () => ({ raw: "250-more\r\n".repeat(600) }) } });
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "protocol", phase: "ehlo" });
});

test("a line of 9 KB ends the connection", async () => {
  await using relay = await setup({ on: { ehlo: () => `250 ${"x".repeat(9_000)}` } });
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "protocol", phase: "ehlo" });
});
