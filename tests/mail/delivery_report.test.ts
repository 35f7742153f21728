import { expect, test } from "bun:test";
import fc from "fast-check";
import { readReport } from "../../relay/mail/delivery_report.ts";
import { readReportMail } from "../../relay/mail/report_mail.ts";

// What servers write. Whole reports of real ones are in tests/interop, and what becomes of them in
// tests/queue/bounce_command.test.ts.

const ID = "0190d5a0-0000-7000-8000-00000000000f";

/** The one report of one block. */
function read(block: string, rest: Parameters<typeof readReport>[0] = {}) {
  const { reports } = readReport({ status: `Reporting-MTA: dns; mail.corp.example\n\n${block}`, ...rest });
  expect(reports.length).toBeLessThan(2);
  return reports[0];
}

test("a recipient is named as the sender wrote it, then as the last server did; encoded or not, with brackets or without", () => {
  const block =
    "Original-Recipient: rfc822;ann+2Bshop@corp.example\nFinal-Recipient: RFC822; <Ann@home.example>\nAction: failed\n";
  expect(read(block)?.addresses).toEqual(["ann+2Bshop@corp.example", "ann+shop@corp.example", "Ann@home.example"]);
  const utf8 = "Final-Recipient: utf-8; j\\x{F6}rg@corp.example\nAction: failed\n";
  expect(read(utf8)?.addresses).toContain("jörg@corp.example");
  expect(read("Action: failed\nStatus: 5.1.1\n")).toBeUndefined();
});

test("reply code and enhanced code come from what the server said, else from the status, which may say nothing", () => {
  const to = "Final-Recipient: rfc822; ann@example.com\nAction: failed\n";
  const said = (fields: string) => {
    const { code, enhanced, reply, reporter } = read(to + fields) ?? {};
    return [code, enhanced, reply, reporter];
  };
  const own = "mail.corp.example";
  expect(said("Status: 5.0.0\nDiagnostic-Code: smtp; 550 5.1.1 no such\n user\nRemote-MTA: dns; mx.example.com\n"))
    .toEqual(
      [550, "5.1.1", "550 5.1.1 no such user", "mx.example.com"],
    );
  // Exchange, Gmail: a hyphen, or a number sign.
  expect(said("Status: 5.0.0\nDiagnostic-Code: smtp;550-5.1.1 The account\n")).toEqual([
    550,
    "5.1.1",
    "550-5.1.1 The account",
    own,
  ]);
  expect(said("Status: 5.1.10\nDiagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR\n")[1]).toBe("5.1.10");
  expect(said("Status: 4.4.7\nDiagnostic-Code: X-Postfix; delivery temporarily suspended: 550 was said\n")).toEqual(
    [undefined, "4.4.7", "delivery temporarily suspended: 550 was said", own],
  );
  expect(said("Status: 5.2.2 (mailbox full)\n")).toEqual([undefined, "5.2.2", "5.2.2 (mailbox full)", own]);
  expect(said("Status: 5.0.0\n")).toEqual([undefined, undefined, "5.0.0", own]);
  expect(said("")).toEqual([undefined, undefined, "Action: bounced", own]);
});

test("where only the notice has the reply, on a line that begins with the address, it comes from there, and from no other line", () => {
  const block = "Final-Recipient: rfc822; ann@example.com\nAction: failed\nStatus: 5.0.0\n";
  const notice = "Hello!\njoann@example.com: 550 5.7.1 no\nann@example.com: is sad\nann@example.com: 550 5.1.1 gone\n";
  expect(read(block, { notice })).toMatchObject({ code: 550, enhanced: "5.1.1", reply: "550 5.1.1 gone" });
  expect(read(`${block}Diagnostic-Code: smtp; 552 5.2.2 full\n`, { notice })).toMatchObject({ enhanced: "5.2.2" });
});

test("an action that says nothing final is none; without one the class of the status tells", () => {
  const kind = (fields: string) => read(`Final-Recipient: rfc822; ann@example.com\n${fields}`)?.kind;
  expect(["failed", "Delayed", "delivered", "relayed", "expanded", "no-action"].map((it) => kind(`Action: ${it}\n`)))
    .toEqual(
      ["bounced", "delayed", "delivered", undefined, undefined, undefined],
    );
  expect(["5.1.1", "4.4.1", "2.0.0", "nonsense"].map((it) => kind(`Status: ${it}\n`))).toEqual(
    ["bounced", "delayed", "delivered", undefined],
  );
});

test("comments in the fields that machines read are no part of what they say", () => {
  const block = "Final-Recipient: rfc822 (by alias); ann@example.com (Ann (Sales) here)\nAction: failed (for good)\n" +
    "Status: 5.1.1 (no such mailbox)\nDiagnostic-Code: smtp (final); 550 5.1.1 no such user (yet)\n";
  expect(read(block)).toMatchObject({
    ...{ kind: "bounced", addresses: ["ann@example.com"], code: 550, enhanced: "5.1.1" },
    reply: "550 5.1.1 no such user (yet)",
  });
  const named = (address: string) => read(`Final-Recipient: rfc822; ${address}\nAction: failed\n`)?.addresses;
  expect(named('"a(b)\\"("@example.com (quoted)')).toEqual(['"a(b)\\"("@example.com']);
  expect(named("<ann@example.com> (Ann)")).toEqual(["ann@example.com"]);
  expect(named("ann@example.com (never ended")).toEqual(["ann@example.com (never ended"]);
});

test("several recipients are several reports, whatever the line ends are, and at most as many as a mail can have", () => {
  const block = (number: number) => `Final-Recipient: rfc822; u${number}@example.com\nAction: failed\nStatus: 5.1.1\n`;
  const status = `Reporting-MTA: dns; mail.corp.example\n\n${block(1)}\n \n${block(2)}`;
  for (const text of [status, status.replaceAll("\n", "\r\n"), status.replaceAll("\n", "\r")]) {
    expect(readReport({ status: text }).reports.map(({ addresses }) => addresses)).toEqual([
      ["u1@example.com"],
      ["u2@example.com"],
    ]);
  }
  const many = Array.from({ length: 600 }, (_, number) => block(number)).join("\n");
  expect(readReport({ status: many }).reports).toHaveLength(500);
});

test("a mail is named by its envelope id and its Message-ID, and only by ids as we make them", () => {
  const ids = (status: string, returned: string) => readReport({ status, returned }).ids;
  const header = `Received: by x\n\tid 1; now\nMESSAGE-ID:\n <${ID}@shop.example>\nSubject: hi\n\nMessage-ID: <${
    ID.replace("f", "e")
  }@body>\n`;
  expect(ids(`Original-Envelope-Id: ${ID.toUpperCase()}\n`, header)).toEqual([ID]);
  expect(ids("", header)).toEqual([ID]);
  expect(ids("Original-Envelope-Id: 4F5ABC\n", "Message-ID: <1@mail.example>\n")).toEqual([]);
  expect(ids("", `Subject: <${ID}@shop.example>\n`)).toEqual([]);
});

test("a complaint names whom it may, and is none when it is withdrawn or about something else", () => {
  const complaint = (fields: string) => readReport({ feedback: fields }).reports;
  expect(
    complaint(
      "Feedback-Type: abuse\nUser-Agent: A/1\nOriginal-Rcpt-To: <ann@example.com>\nOriginal-Rcpt-To: bob@example.com\n",
    ),
  )
    .toEqual(["ann@example.com", "bob@example.com"].map((address) => ({
      ...{ kind: "complained", addresses: [address], code: undefined, enhanced: undefined },
      ...{ reply: "Feedback-Type: abuse", reporter: "A/1" },
    })));
  expect(complaint("Feedback-Type: opt-out\n")).toMatchObject([{ kind: "complained", addresses: [] }]);
  for (const type of ["not-spam", "auth-failure", "dmarc", ""]) {
    expect(complaint(`Feedback-Type: ${type}\n`)).toEqual([]);
  }
});

test("a read receipt is one where the mail was shown to its reader, by hand or by itself, and names mail, reader and program", () => {
  const receipt = (disposition: string, line = "\n") =>
    readReport({
      disposition: [
        "Reporting-UA: laptop.example; Mail 16.0",
        "Original-Recipient: rfc822;ann@corp.example",
        "Final-Recipient: rfc822; <Ann@home.example>",
        `Original-Message-ID:\n <${ID.toUpperCase()}@shop.example>`,
        `Disposition: ${disposition}`,
        "",
      ].join("\n").replaceAll("\n", line),
    });
  const shown = [
    "manual-action/MDN-sent-manually; displayed",
    "automatic-action/MDN-sent-automatically;displayed",
    "manual-action/MDN-sent-automatically; Displayed/error",
  ];
  for (const disposition of shown) {
    for (const line of ["\n", "\r\n"]) {
      expect(receipt(disposition, line)).toEqual({
        ids: [ID],
        reports: [{
          ...{
            kind: "opened",
            addresses: ["ann@corp.example", "Ann@home.example"],
            code: undefined,
            enhanced: undefined,
          },
          ...{ reply: `Disposition: ${disposition}`, reporter: "laptop.example; Mail 16.0" },
        }],
      });
    }
  }
  const others = ["deleted", "dispatched", "processed", "failed", "denied", "displayedlater", ""];
  for (const type of others) expect(receipt(`manual-action/MDN-sent-manually; ${type}`).reports).toEqual([]);
  expect(receipt("displayed").reports).toEqual([]);
});

test("control characters and long lines of a report end in no record", () => {
  const block = `Final-Recipient: rfc822; ann@example.com\nAction: failed\nDiagnostic-Code: smtp; 550 a\0b\x1b[31m${
    "x".repeat(5_000)
  }\n`;
  const { reply } = read(block) ?? {};
  expect(reply).toHaveLength(994);
  expect(reply).toStartWith("550 a b [31mxxx");
});

test("no half of a surrogate pair comes out of a report: Postgres takes no JSON with one, and the report would never be on record", () => {
  const to = (address: string) => `Final-Recipient: utf-8; ${address}\nAction: failed\n`;
  for (let length = 970; length < 1_010; length++) {
    const reply = read(`${to("a@b.example")}Diagnostic-Code: smtp; 550 5.1.1 ${"x".repeat(length)}${"😀".repeat(40)}\n`)
      ?.reply;
    expect(reply?.isWellFormed()).toBe(true);
  }
  expect(read(to("a\\x{D83D}@b.example"))?.addresses.every((address) => address.isWellFormed())).toBe(true);
});

test("whatever comes, it is read without a fault, in time that grows with its length alone", async () => {
  const field = fc.constantFrom(
    "Final-Recipient: rfc822; a@b.example",
    "Action: failed",
    "Status: 5.1.1",
    "\n",
    " ",
    ":",
    "\t",
    "<>",
    ";",
  );
  const text = fc.array(fc.oneof(field, fc.string()), { maxLength: 40 }).map((parts) => parts.join("\n"));
  fc.assert(fc.property(text, text, text, (status, feedback, notice) => {
    const { reports } = readReport({ status, feedback, notice, returned: status });
    for (const { reply } of reports) expect(/[\0-\x1f]/.test(reply)).toBe(false);
  }));
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), async (bytes) => {
      expect(await readReportMail(bytes)).toBeUndefined();
    }),
    { numRuns: 50 },
  );
  for (const piece of ["Final-Recipient:a\n", "\n \n", "a: b\n ", "<", "+2B", " ", "\r"]) {
    readReport({ status: piece.repeat(300_000), notice: piece.repeat(1_000), returned: piece.repeat(300_000) });
  }
});
