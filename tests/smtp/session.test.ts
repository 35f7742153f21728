import { expect, test } from "bun:test";
import type { Wire } from "../../relay/smtp/dialogue.ts";
import { Session, type SessionSettings } from "../../relay/smtp/session.ts";
import { SESSION_SETTINGS } from "./session_record.ts";
import { CONTENT, envelopeTo, outcomesOf } from "./setup.ts";

/** A session whose effects are written down. */
function record(settings: Partial<SessionSettings> = {}, content = CONTENT): { session: Session; log: string[] } {
  const log: string[] = [];
  let unwritten = "";
  const wire: Wire = {
    write: (bytes) => (unwritten += new TextDecoder("latin1").decode(bytes)),
    stream: () => log.push("stream"),
    flush: () => {
      if (unwritten !== "") log.push(`write ${unwritten}`);
      unwritten = "";
    },
    startTls: () => log.push("start TLS"),
    setDeadline: (delayMs) => log.push(`deadline ${delayMs}`),
    close: () => log.push("close"),
  };
  const session: Session = new Session(wire, { ...SESSION_SETTINGS, ...settings }, {
    ready: () => {
      log.push("ready");
      session.deliver({ envelope: envelopeTo("ann@corp.example"), content });
    },
    roomy: () => undefined,
    delivered: (_, delivery) => {
      log.push(delivery.kind === "attempted" ? outcomesOf(delivery).join() : `unavailable ${delivery.trouble.code}`);
      session.quit();
    },
    closed: (trouble) => log.push(`closed ${trouble.code}`),
  });
  session.start();
  return { session, log };
}

/** What the server says, in the order of the client's writes. */
const SERVER = [
  "220 mx\r\n",
  "250-mx\r\n250 PIPELINING\r\n",
  "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n",
  "250 2.0.0 taken\r\n",
  "221 bye\r\n",
];

const EXPECTED = [
  "deadline 30000",
  "deadline 60000",
  "write EHLO relay.example\r\n",
  "deadline 60000",
  "ready",
  "write MAIL FROM:<app@sender.example>\r\nRCPT TO:<ann@corp.example>\r\nDATA\r\n",
  "deadline 300000",
  "write Subject: hello\r\n\r\nHello\r\n.\r\n",
  "deadline 600000",
  "sent final 250",
  "write QUIT\r\n",
  "deadline 2000",
  "close",
  "closed closed",
];

/** Without the deadlines between replies, which depend on where the bytes are cut. */
function withoutDeadlines(log: readonly string[]): string[] {
  return log.filter((line) => !line.startsWith("deadline"));
}

test("a session says, arms and reports exactly this", () => {
  const { session, log } = record();
  session.connected();
  for (const part of SERVER) session.receive(new TextEncoder().encode(part));
  expect(log).toEqual(EXPECTED);
});

test("a session does the same whatever position the replies are cut at", () => {
  for (const [index, part] of SERVER.entries()) {
    for (let cut = 0; cut <= part.length; cut++) {
      const { session, log } = record();
      session.connected();
      for (const [at, each] of SERVER.entries()) {
        for (const piece of at === index ? [each.slice(0, cut), each.slice(cut)] : [each]) {
          session.receive(new TextEncoder().encode(piece));
        }
      }
      expect(withoutDeadlines(log)).toEqual(withoutDeadlines(EXPECTED));
    }
  }
});

test("a session does the same byte by byte", () => {
  const { session, log } = record();
  session.connected();
  for (const byte of new TextEncoder().encode(SERVER.join(""))) session.receive(Uint8Array.of(byte));
  expect(withoutDeadlines(log)).toEqual(withoutDeadlines(EXPECTED));
});

test("wherever the connection ends, the mail is reported exactly once, and right", () => {
  const all = SERVER.slice(0, 4).join("");
  for (let cut = 0; cut <= all.length; cut++) {
    const { session, log } = record();
    session.connected();
    for (const byte of new TextEncoder().encode(all.slice(0, cut))) session.receive(Uint8Array.of(byte));
    session.ended({ code: "closed", reason: "The server closed the connection" });
    session.ended({ code: "closed", reason: "The server closed the connection" });

    const said = all.slice(0, cut);
    const count = (part: string): boolean => said.includes(part);
    const expected = count("taken\r\n")
      ? "sent final 250"
      : count("go on\r\n")
      ? "uncertain final network none"
      : count("2.1.5 ok\r\n")
      ? "deferred data network none"
      : count("2.1.0 ok\r\n")
      ? "deferred rcpt network none"
      : count("PIPELINING\r\n")
      ? "unavailable closed"
      : undefined;
    const reports = log.filter((line) => /^(sent|uncertain|deferred|bounced|unavailable)/.test(line));
    expect(reports).toEqual(expected === undefined ? [] : [expected]);
    expect(log.filter((line) => line.startsWith("closed"))).toHaveLength(1);
  }
});

test("a large content is streamed, and its dot follows when the kernel has it", () => {
  const { session, log } = record({}, new Uint8Array(100_000).fill(0x78));
  session.connected();
  for (const part of SERVER.slice(0, 2)) session.receive(new TextEncoder().encode(part));
  log.length = 0;
  session.receive(new TextEncoder().encode(SERVER[2]));
  expect(log).toEqual(["stream", "deadline 180000"]);
  session.handed();
  expect(log.slice(2)).toEqual(["write .\r\n", "deadline 600000"]);
});

test("bytes between the 220 to STARTTLS and the end of the handshake are tls_injection", () => {
  const { session, log } = record({ tls: "required" });
  session.connected();
  session.receive(new TextEncoder().encode("220 mx\r\n"));
  session.receive(new TextEncoder().encode("250-mx\r\n250 STARTTLS\r\n"));
  session.receive(new TextEncoder().encode("220 go\r\n"));
  expect(log).toContain("start TLS");
  session.receive(new TextEncoder().encode("2"));
  session.secured();
  expect(log.slice(-2)).toEqual(["close", "closed tls_injection"]);
});

test("a session that is not ready takes no mail", () => {
  const { session } = record();
  expect(() => session.deliver({ envelope: envelopeTo("ann@corp.example"), content: CONTENT })).toThrow(
    "Cannot deliver a mail: the session is opening",
  );
});
