import { EHLO, MAIL, TO_ANN, type TransportFault } from "./fault.ts";

const HELO = "HELO relay.example";
const SECOND = [["ann@corp.example"], ["bob@corp.example"]];

/** The introduction, and replies that are not as RFC 5321 section 4.2 wants them. */
export const EHLO_FAULTS: readonly TransportFault[] = [
  {
    id: "E01",
    name: "500 to EHLO",
    server: () => ({ on: { ehlo: () => "500 5.5.1 what" } }),
    expected: ["sent final 250"],
    said: [[EHLO, HELO, MAIL, TO_ANN, "DATA", "(content)", ".", "QUIT"]],
  },
  {
    id: "E02",
    name: "502 to EHLO",
    server: () => ({ on: { ehlo: () => "502 5.5.1 not here" } }),
    expected: ["sent final 250"],
    said: [[EHLO, HELO, MAIL, TO_ANN, "DATA", "(content)", ".", "QUIT"]],
  },
  {
    id: "E03",
    name: "421 to EHLO",
    server: () => ({ on: { ehlo: () => ({ close: "421 4.3.2 closing" }) } }),
    expected: ["untried shutting_down ehlo 421"],
    said: [[EHLO]],
  },
  {
    id: "E04",
    name: "dropped at EHLO",
    server: () => ({ on: { ehlo: () => ({ close: undefined }) } }),
    expected: ["untried closed ehlo"],
    said: [[EHLO]],
  },
  {
    id: "E05",
    name: "replies that are a bare code",
    server: () => ({
      on: {
        connect: () => "220",
        ehlo: () => "250",
        mail: () => "250",
        rcpt: () => "250",
        data: () => "354",
        content: () => "250",
        quit: () => "221",
      },
    }),
    expected: ["sent final 250"],
    said: [[EHLO, MAIL, TO_ANN, "DATA", "(content)", ".", "QUIT"]],
  },
  {
    id: "E06",
    name: "a reply to EHLO that never ends",
    server: (lab) => ({
      on: {
        ehlo: async () => {
          // 100 lines a second.
          while (lab.server.openCount > 0) {
            lab.server.interject("250-and another\r\n".repeat(100));
            await lab.wait(1_000);
          }
          return lab.hang();
        },
      },
    }),
    passes: true,
    expected: ["untried protocol ehlo"],
    said: [[EHLO]],
  },
  {
    id: "E07",
    name: "a line of 9 KB",
    server: () => ({ on: { ehlo: () => `250 ${"x".repeat(9_000)}` } }),
    expected: ["untried protocol ehlo"],
    said: [[EHLO]],
  },
  {
    id: "E08",
    name: "lines that end in LF",
    server: () => ({ lineEnd: "\n" }),
    expected: ["sent final 250"],
    said: [[EHLO, MAIL, TO_ANN, "DATA", "(content)", ".", "QUIT"]],
  },
  {
    id: "E09",
    name: "lines that end in CR",
    server: (lab) => ({
      on: {
        ehlo: () => {
          lab.server.interject("250-scripted.example\r250 PIPELINING\r");
          return lab.hang();
        },
      },
    }),
    passes: true,
    expected: ["untried timeout ehlo"],
    said: [[EHLO]],
  },
  {
    id: "E10",
    name: "replies cut at every byte",
    server: () => ({ splitBytes: 1 }),
    expected: ["sent final 250"],
    said: [[EHLO, MAIL, TO_ANN, "DATA", "(content)", ".", "QUIT"]],
  },
  {
    id: "E11",
    name: "two replies to EHLO in one segment",
    server: () => ({ on: { ehlo: () => ({ raw: "250 scripted.example\r\n250 scripted.example\r\n" }) } }),
    expected: ["untried protocol mail"],
    said: [[EHLO]],
  },
  {
    id: "E11",
    name: "two replies to MAIL in one segment, the second is 550",
    server: () => ({ offer: [], on: { mail: () => ({ raw: "250 2.1.0 ok\r\n550 5.7.1 go away\r\n" }) } }),
    expected: ["deferred rcpt route none"],
    said: [[EHLO, MAIL]],
  },
  {
    id: "E12",
    name: "a reply that nothing asked for, between two mails",
    between: async ({ server }) => {
      server.interject("250 2.0.0 and one more\r\n");
      await server.whenEmpty();
    },
    mails: SECOND,
    expected: ["sent final 250", "sent final 250"],
  },
  {
    id: "E12",
    name: "a reply that nothing asked for, with that to the final dot",
    server: () => ({
      on: {
        content: (_, { count }) => count === 1 ? { pieces: ["250 2.0.0 taken\r\n250 2.0.0 what\r\n"] } : undefined,
      },
    }),
    mails: SECOND,
    expected: ["sent final 250", "sent final 250"],
  },
  {
    id: "E13",
    name: "a reply whose lines differ in their code",
    server: () => ({ on: { ehlo: () => ({ raw: "250-scripted.example\r\n550 5.7.1 go away\r\n" }) } }),
    expected: ["untried protocol ehlo"],
    said: [[EHLO]],
  },
  {
    id: "E14",
    name: "keywords in lower case, and AUTH= as before RFC 2554",
    server: () => ({
      auth: { user: "ann", password: "s3cret" },
      on: { ehlo: () => "250-scripted.example\r\n250-pipelining\r\n250-size 100000\r\n250 AUTH=LOGIN PLAIN" },
    }),
    client: { auth: { user: "ann", password: "s3cret" }, allowPlaintextAuth: true },
    expected: ["sent final 250"],
    said: [[
      EHLO,
      "AUTH PLAIN AGFubgBzM2NyZXQ=",
      `${MAIL} SIZE=128`,
      TO_ANN,
      "DATA",
      "(content)",
      ".",
      "QUIT",
    ]],
  },
  {
    id: "E15",
    name: "what was offered before TLS is not offered over TLS",
    server: () => ({
      tls: "starttls",
      on: {
        ehlo: (_, { isTls }) =>
          isTls
            ? "250-scripted.example\r\n250 8BITMIME"
            : "250-scripted.example\r\n250-SIZE 1\r\n250-AUTH PLAIN\r\n250-SMTPUTF8\r\n250 STARTTLS",
      },
    }),
    client: { tls: "required" },
    expected: ["sent final 250"],
  },
];
