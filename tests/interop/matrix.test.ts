import { afterAll, beforeAll, describe, expect } from "bun:test";
import type { StreamedContent } from "../../relay/delivery/transport.ts";
import { readReportMail } from "../../relay/mail/report_mail.ts";
import { attachmentOf, compose } from "../../src/mime/compose.ts";
import { testWith } from "../debian.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { outcomesOf, troubleIn } from "../smtp/setup.ts";
import { DOMAIN, type MailServer, MAX_MAIL_BYTES, PASSED_ON } from "./mail_server.ts";
import { SERVERS } from "./servers.ts";
import { addressOf, bodyOf, headersOf, numberedMail, openWay } from "./setup.ts";

// Each thing that a relay does with a server, with each server: the same mails, the same expectations.

const LOGIN = { authMechanism: "LOGIN" } as const;
const LONG = `${"l".repeat(997)}>\n`;
const BODY = `.hidden\n..two\n...\n${LONG}${LONG}\tlast, >From me\n`;

for (const { name, needed, start } of SERVERS) {
  describe(name, () => {
    let server: MailServer;
    beforeAll(async () => {
      if (needed.program !== undefined) server = await start();
    }, 60_000);
    afterAll(async () => await server?.[Symbol.asyncDispose]());
    const testServer = (sentence: string, body: () => Promise<void>) =>
      testWith(needed, `${name} ${sentence}`, body, 60_000);

    testServer("delivers a body with dots at the start of lines and lines of 998 octets byte by byte", async () => {
      await using way = openWay(server, "plain");
      const composed = compose(numberedMail(1, { text: BODY }));
      // What only another program would send: a line that is a dot.
      const raw = new TextEncoder().encode(`Subject: raw\r\n\r\n${`${BODY}.\n..\n`.replaceAll("\n", "\r\n")}`);
      for (const content of [composed, raw]) {
        expect(outcomesOf(await way.send(content, addressOf("bytes")))).toEqual(["sent final 250"]);
      }
      const mails = await server.mails("bytes", 2);
      expect(mails.map(bodyOf).sort()).toEqual([BODY, `${BODY}.\n..\n`].sort());
    });

    testServer("is sent nothing when its certificate is not from an authority that we know", async () => {
      await using way = openWay(server, "submission", { ca: undefined });
      expect(troubleIn(await way.send(compose(numberedMail(1)), addressOf("starttls"))).code).toBe("tls_verify");
      expect(way.dialogue.filter((line) => /^C: (AUTH|MAIL)/.test(line))).toEqual([]);
    });

    testServer("takes a mail over STARTTLS, verified with our authority, with AUTH PLAIN", async () => {
      await using way = openWay(server, "submission");
      expect(outcomesOf(await way.send(compose(numberedMail(2)), addressOf("plain")))).toEqual(["sent final 250"]);
      expect(way.dialogue).toContain("C: STARTTLS");
      expect(way.dialogue).toContain("C: AUTH PLAIN ****");
      expect(await server.mails("plain", 1)).toHaveLength(1);
    });

    testServer("takes a mail over implicit TLS", async () => {
      await using way = openWay(server, "implicit");
      expect(outcomesOf(await way.send(compose(numberedMail(3)), addressOf("implicit")))).toEqual(["sent final 250"]);
      expect(way.dialogue).not.toContain("C: STARTTLS");
      expect(await server.mails("implicit", 1)).toHaveLength(1);
    });

    testServer("takes a mail with AUTH LOGIN", async () => {
      await using way = openWay(server, server.port("login") === undefined ? "submission" : "login", LOGIN);
      expect(outcomesOf(await way.send(compose(numberedMail(4)), addressOf("login")))).toEqual(["sent final 250"]);
      expect(way.dialogue).toContain("C: AUTH LOGIN ****");
      expect(await server.mails("login", 1)).toHaveLength(1);
    });

    testServer("refuses a wrong password, and no recipient is bounced for it", async () => {
      await using way = openWay(server, "submission", { auth: { user: "relay", password: "wrong" } });
      const trouble = troubleIn(await way.send(compose(numberedMail(5)), addressOf("wrong")));
      expect(trouble).toMatchObject({ code: "auth_rejected", phase: "auth", reply: { code: 535 } });
    });

    testServer(
      "refuses a mail without TLS and AUTH where it wants both, and no recipient is bounced for it",
      async () => {
        await using way = openWay(server, "submission", { tls: "none", auth: undefined });
        const trouble = troubleIn(await way.send(compose(numberedMail(6)), addressOf("wrong")));
        expect(trouble).toMatchObject({ code: "auth_required", phase: "mail", reply: { code: 530 } });
      },
    );

    if (name === "Postfix") {
      testServer(
        "refuses each recipient of a client without AUTH by a 554 that could be about the address",
        async () => {
          await using way = openWay(server, "submission", { auth: undefined });
          const delivery = await way.send(compose(numberedMail(14)), addressOf("wrong"));
          expect(outcomesOf(delivery)).toEqual(["bounced rcpt recipient 554"]);
          expect(delivery).toMatchObject({ outcomes: [{ reply: { enhanced: "5.7.1" } }] });
        },
      );
    }

    testServer("refuses one recipient of three, and the other two get the mail", async () => {
      await using way = openWay(server, "plain");
      const emails = [addressOf("some"), `nobody@${DOMAIN}`, addressOf("others")];
      expect(outcomesOf(await way.send(compose(numberedMail(7)), ...emails))).toEqual([
        "sent final 250",
        "bounced rcpt recipient 550",
        "sent final 250",
      ]);
      for (const box of ["some", "others"]) expect(await server.mails(box, 1)).toHaveLength(1);
    });

    testServer("refuses the only recipient, and the connection is good for the next mail", async () => {
      await using way = openWay(server, "plain");
      const content = compose(numberedMail(8));
      expect(outcomesOf(await way.send(content, `nobody@${DOMAIN}`))).toEqual(["bounced rcpt recipient 550"]);
      expect(outcomesOf(await way.send(content, addressOf("others")))).toEqual(["sent final 250"]);
      expect(way.dialogue.filter((line) => line.startsWith("C: EHLO"))).toHaveLength(1);
      expect(await server.mails("others", 2)).toHaveLength(2);
    });

    testServer("is not asked to take a mail above the SIZE that it offers: the mail bounces before MAIL", async () => {
      await using way = openWay(server, "plain");
      const content = compose(numberedMail(9, { text: "0123456789\n".repeat(MAX_MAIL_BYTES / 10) }));
      const delivery = await way.send(content, addressOf("size"));
      expect(way.dialogue).toContain(`S: 250 SIZE ${MAX_MAIL_BYTES}`);
      expect(outcomesOf(delivery)).toEqual(["bounced mail message none"]);
      expect(way.dialogue.filter((line) => /^C: (?!EHLO|QUIT)/.test(line))).toEqual([]);
    });

    testServer("understands what we ask for with DSN, and is not asked where it does not offer it", async () => {
      await using way = openWay(server, "plain");
      expect(outcomesOf(await way.send(compose(numberedMail(13)), addressOf("dsn")))).toEqual(["sent final 250"]);
      const asked = way.dialogue.filter((line) => / (RET=HDRS|NOTIFY=FAILURE,DELAY ORCPT=rfc822;)/.test(line));
      expect(asked).toHaveLength(way.dialogue.includes("S: 250 DSN") ? 2 : 0);
      expect(asked).toHaveLength(name === "smtp-server" ? 0 : 2);
      expect(await server.mails("dsn", 1)).toHaveLength(1);
    });

    if (name !== "smtp-server") {
      testServer("reports a mail that the next server refuses, and the report tells which mail and who", async () => {
        await using refusing = await startScriptedServer({
          port: server.onward as number,
          on: { rcpt: (address) => `550 5.1.1 <${address}>: no such user here` },
        });
        await using way = openWay(server, "plain");
        const mail = numberedMail(15);
        const delivery = await way.transport.send(
          {
            ...{ reversePath: addressOf("bounces"), envelopeId: mail.id },
            recipients: [{ position: 0, email: PASSED_ON }],
          },
          compose(mail),
          AbortSignal.timeout(20_000),
        );
        expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
        const [content] = await server.mails("bounces", 1);
        expect(refusing.mails).toHaveLength(0);
        const report = await readReportMail(content as Uint8Array);
        expect(report).toMatchObject({ ids: [mail.id], reports: [{ kind: "bounced", code: 550, enhanced: "5.1.1" }] });
        expect(report?.reports[0]?.addresses).toContain(PASSED_ON);
      });

      testServer("reports a mail that it has delivered, where that is asked for", async () => {
        await using way = openWay(server, "plain", { dsn: "all" });
        const mail = numberedMail(16);
        const delivery = await way.transport.send(
          {
            ...{ reversePath: addressOf("successes"), envelopeId: mail.id },
            recipients: [{ position: 0, email: addressOf("delivered") }],
          },
          compose(mail),
          AbortSignal.timeout(20_000),
        );
        expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
        expect(way.dialogue.filter((line) => line.includes(" NOTIFY=SUCCESS,FAILURE,DELAY "))).toHaveLength(1);
        const [content] = await server.mails("successes", 1);
        const report = await readReportMail(content as Uint8Array);
        expect(report).toMatchObject({ ids: [mail.id], reports: [{ kind: "delivered" }] });
        expect(report?.reports[0]?.addresses).toContain(addressOf("delivered"));
      });
    }

    testServer("is spoken with in groups of commands if it offers PIPELINING, else one by one", async () => {
      await using way = openWay(server, "plain");
      await way.send(compose(numberedMail(10)), `nobody@${DOMAIN}`, `neither@${DOMAIN}`);
      const mail = way.dialogue.findIndex((line) => line.startsWith("C: MAIL"));
      const isGrouped = way.dialogue[mail + 1]?.startsWith("C: RCPT");
      expect(isGrouped).toBe(way.dialogue.includes("S: 250 PIPELINING"));
      expect(isGrouped).toBe(name !== "OpenSMTPD");
    });

    testServer("takes mail for a local part in UTF-8 if it offers SMTPUTF8, else it bounces and says why", async () => {
      await using way = openWay(server, "plain");
      const delivery = await way.send(compose(numberedMail(11)), addressOf("jörg"));
      if (way.dialogue.includes("S: 250 SMTPUTF8")) {
        expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
        const shown = compose(numberedMail(15, { to: [{ email: addressOf("jörg"), name: "Jörg" }] }));
        expect(outcomesOf(await way.send(shown, addressOf("jörg")))).toEqual(["sent final 250"]);
        const headers = (await server.mails("jörg", 2)).flatMap(headersOf).filter((line) => line.startsWith("To: "));
        // The bytes of UTF-8, one character each.
        expect(headers.toSorted()).toEqual([
          "To: =?UTF-8?Q?J=C3=B6rg?= <jÃ¶rg@corp.example>",
          "To: Ann <ann@example.com>",
        ]);
        return;
      }
      expect(name).toBe("OpenSMTPD");
      expect(delivery).toMatchObject({
        outcomes: [{ kind: "bounced", reason: "The address needs SMTPUTF8, which the server does not offer" }],
      });
    });

    testServer("takes 200 mails over one connection at a time, and each arrives once", async () => {
      await using way = openWay(server, "plain");
      const numbers = Array.from({ length: 200 }, (_, index) => 1_000 + index);
      const sent = numbers.map((number) => way.send(compose(numberedMail(number)), addressOf("many")));
      for (const delivery of await Promise.all(sent)) expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
      // OpenSMTPD takes 100 of each connection, and says 452 4.5.3 to the next MAIL.
      expect(way.dialogue.filter((line) => line.startsWith("C: EHLO"))).toHaveLength(name === "OpenSMTPD" ? 2 : 1);
      const ids = (await server.mails("many", 200)).flatMap(headersOf).filter((line) => /^Message-ID:/i.test(line));
      expect(ids).toHaveLength(200);
      expect(new Set(ids).size).toBe(200);
    });

    for (const chunking of [true, false]) {
      const how = chunking ? "by BDAT if it offers CHUNKING" : "by DATA";
      testServer(`takes an attachment of 5 MB byte by byte ${how}, from memory and as a stream`, async () => {
        await using way = openWay(server, "submission", { chunking });
        const content = Uint8Array.from({ length: 5_000_000 }, (_, index) => (index * index) >> 7);
        const file = attachmentOf({ filename: "a.bin", contentType: "application/octet-stream", content });
        const wire = compose(numberedMail(12, { attachments: [file] }));
        const box = chunking ? "large" : "larger";
        for (const form of [wire, streamOf(wire)]) {
          expect(outcomesOf(await way.send(form, addressOf(box)))).toEqual(["sent final 250"]);
        }
        const isChunked = way.dialogue.some((line) => line.startsWith("C: BDAT"));
        expect(isChunked).toBe(chunking && way.dialogue.includes("S: 250 CHUNKING"));
        expect(isChunked).toBe(chunking && (name === "Postfix" || name === "Exim"));
        expect(way.dialogue.includes("C: BDAT 0 LAST")).toBe(isChunked);
        expect(way.dialogue.includes("C: DATA")).toBe(!isChunked);
        const mails = await server.mails(box, 2);
        expect(mails.map((mail) => bodyOf(mail) === bodyOf(wire))).toEqual([true, true]);
      });
    }
  });
}

/** The same mail in chunks of odd lengths, as a relay reads it from Postgres. */
function streamOf(wire: Uint8Array): StreamedContent {
  return {
    sizeBytes: wire.length,
    needsSmtpUtf8: false,
    opening: wire,
    async *chunks() {
      for (let at = 0; at < wire.length; at += 77_777) yield wire.subarray(at, at + 77_777);
    },
  };
}
