import { ANN, BOB, CAT, EHLO, MAIL, TO_ANN, type TransportFault } from "./fault.ts";

const LARGE_BYTES = 1_000_000;
const CHUNKING = ["PIPELINING", "CHUNKING"];
const DATA_DIALOGUE = [EHLO, MAIL, TO_ANN, "DATA"];

/** DATA, the content, the final dot and its reply. */
export const DATA_FAULTS: readonly TransportFault[] = [
  {
    id: "D01",
    name: "354 though no recipient was taken",
    server: () => ({ on: { rcpt: () => "550 5.1.1 no such user", data: () => "354 go on" } }),
    expected: ["bounced rcpt recipient 550"],
    said: [[...DATA_DIALOGUE, ".", "QUIT"]],
  },
  {
    id: "D02",
    name: "554 to DATA",
    server: () => ({ on: { data: () => "554 5.7.1 not this one" } }),
    expected: ["bounced data message 554"],
    said: [[...DATA_DIALOGUE, "QUIT"]],
  },
  {
    id: "D03",
    name: "250 instead of 354",
    server: () => ({ on: { data: () => ({ close: "250 2.0.0 fine" }) } }),
    expected: ["deferred data route 250"],
    said: [DATA_DIALOGUE],
  },
  {
    id: "D04",
    name: "dropped instead of 354",
    server: () => ({ on: { data: () => ({ close: undefined }) } }),
    expected: ["deferred data network none"],
    said: [DATA_DIALOGUE],
  },
  {
    id: "D04",
    name: "dropped after 354",
    server: () => ({ on: { data: () => ({ close: "354 go on" }) } }),
    // Content and dot are one write, and out before we hear of the end.
    expected: ["uncertain final network none"],
  },
  {
    id: "D04",
    name: "dropped after 354, with a large content on its way",
    server: () => ({ on: { data: () => ({ reset: "354 go on" }) } }),
    bytes: 20_000_000,
    // The RST may be there before the 354 is read.
    expected: [["deferred body network none", "deferred data network none"]],
  },
  {
    id: "D05",
    name: "reads nothing more in the middle of the content",
    server: (lab) => ({ on: { body: () => lab.hang() }, bodyBytes: 100_000 }),
    bytes: 20_000_000,
    passes: true,
    expected: ["deferred body network none"],
  },
  {
    id: "D06",
    name: "552 in the middle of the content, and closed",
    server: () => ({ on: { body: () => ({ close: "552 5.3.4 too big" }) }, bodyBytes: 100_000 }),
    bytes: 20_000_000,
    expected: ["bounced body message 552"],
  },
  {
    id: "D07",
    name: "dropped one byte before the end of the final dot",
    server: () => ({ on: { body: () => ({ close: undefined }) }, bodyBytes: 130 }),
    // Content and dot are one write: what of it was read, only the server knows.
    expected: ["uncertain final network none"],
  },
  {
    id: "D07",
    name: "dropped when it has a large content, and not its end (BDAT)",
    server: () => ({ offer: CHUNKING, on: { bdat: (_, { count }) => count === 1 ? undefined : { close: undefined } } }),
    bytes: LARGE_BYTES,
    expected: ["deferred body network none"],
  },
  {
    id: "D08",
    name: "dropped after the final dot, and the mail is taken",
    server: () => ({ on: { content: () => ({ acceptAndClose: true }) } }),
    expected: ["uncertain final network none"],
    mayRepeat: true,
    said: [[...DATA_DIALOGUE, "(content)", "."]],
  },
  {
    id: "D08",
    name: "dropped after the final dot, and the mail is taken; the next envelope is said already",
    server: () => ({ on: { content: (_, { count }) => count === 2 ? { acceptAndClose: true } : undefined } }),
    mails: [[ANN], [BOB], [CAT]],
    isTogether: true,
    expected: ["sent final 250", "uncertain final network none", "sent final 250"],
    mayRepeat: true,
  },
  {
    id: "D09",
    name: "dropped after the final dot, and the mail is not taken",
    server: () => ({ on: { content: () => ({ close: undefined }) } }),
    expected: ["uncertain final network none"],
    said: [[...DATA_DIALOGUE, "(content)", "."]],
  },
  {
    id: "D10",
    name: "250 to the final dot after 9 minutes",
    server: (lab) => ({
      on: {
        content: async () => {
          await lab.wait(9 * 60_000);
          return undefined;
        },
      },
    }),
    passes: true,
    expected: ["sent final 250"],
  },
  {
    id: "D10",
    name: "250 to the final dot after 11 minutes",
    server: (lab) => ({
      on: {
        content: async () => {
          await lab.wait(11 * 60_000);
          return undefined;
        },
      },
    }),
    passes: true,
    expected: ["uncertain final network none"],
    mayRepeat: true,
    said: [[...DATA_DIALOGUE, "(content)", "."]],
  },
  {
    id: "D11",
    name: "451 to the final dot",
    server: () => ({ on: { content: () => "451 4.3.1 no room" } }),
    expected: ["deferred final route 451"],
  },
  {
    id: "D12",
    name: "554 to the final dot",
    server: () => ({ on: { content: () => "554 5.7.1 looks like spam" } }),
    expected: ["bounced final message 554"],
  },
  {
    id: "D12",
    name: "554 to the final dot; the next envelope is said already",
    server: () => ({ on: { content: (_, { count }) => count === 2 ? "554 5.7.1 looks like spam" : undefined } }),
    mails: [[ANN], [BOB], [CAT]],
    isTogether: true,
    expected: ["sent final 250", "bounced final message 554", "sent final 250"],
    said: [[
      ...DATA_DIALOGUE,
      "(content)",
      ".",
      ...[BOB, CAT].flatMap((address) => [MAIL, `RCPT TO:<${address}>`, "DATA", "(content)", "."]),
      "QUIT",
    ]],
  },
  {
    id: "D13",
    name: "421 to the final dot, and closed",
    server: () => ({
      on: { content: (_, { connection }) => connection === 1 ? { close: "421 4.3.2 closing" } : undefined },
    }),
    mails: [[ANN], [BOB]],
    expected: ["deferred final route 421", "sent final 250"],
  },
  {
    id: "D14",
    name: "250 to the final dot in three segments",
    server: () => ({ on: { content: () => ({ pieces: ["25", "0 2.0.0 taken", "\r\n"] }) } }),
    expected: ["sent final 250"],
  },
  {
    id: "D15",
    name: "250 to the final dot and FIN in one segment",
    server: () => ({ on: { content: () => ({ close: "250 2.0.0 taken" }) } }),
    expected: ["sent final 250"],
  },
  {
    id: "D16",
    name: "250 to the final dot, and RST",
    server: () => ({ on: { content: () => ({ reset: "250 2.0.0 taken" }) } }),
    // Whether a system hands out what came before an RST is its own affair.
    expected: [["sent final 250", "uncertain final network none"]],
    mayRepeat: true,
  },
  {
    id: "D17",
    name: "503 to BDAT",
    server: () => ({ offer: CHUNKING, on: { bdat: () => "503 5.5.1 not now" } }),
    bytes: LARGE_BYTES,
    expected: ["sent final 250"],
  },
  {
    id: "D18",
    name: "the first chunk is taken, and 554 to BDAT LAST",
    server: () => ({ offer: CHUNKING, on: { content: () => "554 5.7.1 looks like spam" } }),
    bytes: LARGE_BYTES,
    expected: ["bounced final message 554"],
  },
  {
    id: "D18",
    name: "552 to the chunk with the content",
    server: () => ({ offer: CHUNKING, on: { bdat: (_, { count }) => count === 1 ? undefined : "552 5.3.4 too big" } }),
    bytes: LARGE_BYTES,
    expected: ["bounced body message 552"],
  },
  {
    id: "D19",
    name: "CHUNKING is offered, and 500 to BDAT",
    server: () => ({ offer: CHUNKING, on: { bdat: () => "500 5.5.1 unknown command" } }),
    bytes: LARGE_BYTES,
    expected: ["sent final 250"],
  },
  {
    id: "D20",
    name: "a reply for each recipient after the final dot, as in LMTP, the second is 550",
    server: () => ({
      on: {
        content: (_, { connection }) =>
          connection === 1 ? { pieces: ["250 2.0.0 taken for ann\r\n550 5.1.1 not for bob\r\n"] } : undefined,
      },
    }),
    // RFC 5321 section 4.1.1.4: the one reply is for all. The connection with one too many is not used again.
    mails: [[ANN, BOB], [ANN]],
    expected: ["sent final 250, sent final 250", "sent final 250"],
  },
  {
    id: "D20",
    name: "a reply for each recipient as in LMTP, the second is 550; the next envelope is said already",
    server: () => ({
      on: {
        content: (_, { connection, count }) =>
          connection === 1 && count === 2
            ? { pieces: ["250 2.0.0 taken for ann\r\n550 5.1.1 not for bob\r\n"] }
            : undefined,
      },
    }),
    mails: [[ANN], [ANN, BOB], [CAT]],
    isTogether: true,
    expected: ["sent final 250", "sent final 250, sent final 250", "sent final 250"],
  },
  {
    id: "D20",
    name: "no reply at all after the final dot",
    server: (lab) => ({ on: { content: () => lab.hang() } }),
    mails: [[ANN, BOB]],
    passes: true,
    expected: ["uncertain final network none, uncertain final network none"],
  },
];
