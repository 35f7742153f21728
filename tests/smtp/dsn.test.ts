import { expect, test } from "bun:test";
import { originalRecipient, xtext } from "../../relay/smtp/xtext.ts";
import { CONTENT, envelopeTo, NEVER, setup } from "./setup.ts";

const OFFER = ["PIPELINING", "SMTPUTF8", "8BITMIME", "DSN"];

test("with DSN, a bounce brings the message's id, its header alone and each recipient's own address; delays are told too", async () => {
  await using relay = await setup({ offer: OFFER });
  const envelope = { ...envelopeTo("ann+x=1@corp.example", "jörg@corp.example"), id: "0190d5a0-0000+7" };
  await relay.transport.send(envelope, CONTENT, NEVER);
  expect(relay.server.transcripts[0]?.client).toContain(
    Buffer.from(
      "MAIL FROM:<app@sender.example> RET=HDRS ENVID=0190d5a0-0000+2B7 SMTPUTF8\r\n" +
        "RCPT TO:<ann+x=1@corp.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ann+2Bx+3D1@corp.example\r\n" +
        "RCPT TO:<jörg@corp.example> NOTIFY=FAILURE,DELAY ORCPT=utf-8;jörg@corp.example\r\n",
    ).toString("latin1"),
  );
});

test("a report of what was delivered is asked for where it is wanted", async () => {
  await using relay = await setup({ offer: OFFER }, { dsn: "all" });
  await relay.transport.send(envelopeTo("ann@corp.example"), CONTENT, NEVER);
  expect(relay.server.transcripts[0]?.client).toContain(" NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=");
});

test("the null reverse-path asks for no report, since nobody could get it", async () => {
  await using relay = await setup({ offer: OFFER });
  await relay.transport.send({ ...envelopeTo("ann@corp.example"), reversePath: "" }, CONTENT, NEVER);
  expect(relay.server.transcripts[0]?.client).toContain(
    "MAIL FROM:<> RET=HDRS\r\nRCPT TO:<ann@corp.example> ORCPT=rfc822;ann@corp.example\r\n",
  );
});

test("where DSN is not offered, or is switched off, none of it is said", async () => {
  for (const [offer, dsn] of [[["PIPELINING"], "all"], [OFFER, "none"]] as const) {
    await using relay = await setup({ offer }, { dsn });
    await relay.transport.send({ ...envelopeTo("ann@corp.example"), id: "1" }, CONTENT, NEVER);
    expect(relay.server.transcripts[0]?.client).toContain(
      "MAIL FROM:<app@sender.example>\r\nRCPT TO:<ann@corp.example>\r\n",
    );
  }
});

test("an id or an address that is too long as a parameter is left out, and the mail goes out", async () => {
  await using relay = await setup({ offer: OFFER });
  const long = `${"+".repeat(200)}@corp.example`;
  await relay.transport.send({ ...envelopeTo(long), id: "x".repeat(101) }, CONTENT, NEVER);
  expect(relay.server.transcripts[0]?.client).not.toMatch(/ENVID=|ORCPT=/);
  expect(relay.server.mails).toHaveLength(1);
});

test("xtext() leaves a value as it is when nothing in it needs an escape, and no other", () => {
  for (let code = 0; code < 0x80; code++) {
    const character = String.fromCharCode(code);
    const isPlain = code > 0x20 && code < 0x7f && character !== "+" && character !== "=";
    expect({ code, isSame: xtext(`a${character}`) === `a${character}` }).toEqual({ code, isSame: isPlain });
  }
});

test("xtext() writes all but visible ASCII, + and = in hexadecimal (RFC 3461 section 4)", () => {
  expect(xtext("a+b=c d\r\nä\u007f!~")).toBe("a+2Bb+3Dc+20d+0D+0A+C3+A4+7F!~");
});

test("no envelope id or address can end its command (GHSA-c7w3-x93f-qmm8)", async () => {
  await using relay = await setup({ offer: OFFER });
  await relay.transport.send({ ...envelopeTo("ann@corp.example"), id: "1\r\nRCPT TO:<eve@x.example>" }, CONTENT, NEVER);
  expect(relay.server.mails[0]?.recipients).toEqual(["ann@corp.example"]);
  expect(originalRecipient("ä+=\\ \r\n@x")).toBe("utf-8;ä\\x{2B}\\x{3D}\\x{5C}\\x{20}\\x{D}\\x{A}@x");
});
