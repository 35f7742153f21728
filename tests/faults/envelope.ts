import { ANN, BOB, CAT, EHLO, MAIL, TO_ANN, type TransportFault } from "./fault.ts";

const TO_BOB = `RCPT TO:<${BOB}>`;
const REST = ["DATA", "(content)", ".", "QUIT"];
const CROWD = Array.from({ length: 350 }, (_, number) => `recipient.number.${number}@corp.example`);

/** MAIL and RCPT: replies to whom, how many and in what order. */
export const ENVELOPE_FAULTS: readonly TransportFault[] = [
  {
    id: "M01",
    name: "451 to MAIL",
    server: () => ({ on: { mail: () => "451 4.3.0 not now" } }),
    expected: ["deferred mail sender 451"],
  },
  {
    id: "M02",
    name: "550 to MAIL",
    server: () => ({ on: { mail: () => "550 5.7.1 not from you" } }),
    expected: ["bounced mail sender 550"],
  },
  {
    id: "M03",
    name: "421 to MAIL, and closed",
    server: () => ({ on: { mail: () => ({ close: "421 4.3.2 closing" }) } }),
    expected: ["untried shutting_down mail 421"],
  },
  {
    id: "M04",
    name: "dropped after MAIL",
    server: () => ({ offer: [], on: { mail: () => ({ close: "250 2.1.0 ok" }) } }),
    expected: ["deferred rcpt network none"],
  },
  {
    id: "M05",
    name: "no reply to MAIL within its time",
    server: (lab) => ({ on: { mail: () => lab.hang() } }),
    passes: true,
    expected: ["untried timeout mail"],
  },
  {
    id: "M06",
    name: "552 5.3.4 to MAIL with SIZE",
    server: () => ({ offer: ["PIPELINING", "SIZE"], on: { mail: () => "552 5.3.4 too big" } }),
    expected: ["bounced mail message 552"],
  },
  {
    id: "M06",
    name: "a mail above the SIZE that the server takes",
    server: () => ({ offer: ["PIPELINING", "SIZE 100"], on: { content: () => "552 5.3.4 too big" } }),
    expected: ["bounced mail message none"],
    said: [[EHLO, "QUIT"]],
  },
  {
    id: "M07",
    name: "451 to every RCPT",
    server: () => ({ on: { rcpt: () => "451 4.7.1 greylisted" } }),
    mails: [[ANN, BOB]],
    expected: ["deferred rcpt recipient 451, deferred rcpt recipient 451"],
  },
  {
    id: "M08",
    name: "550 to one RCPT of three",
    server: () => ({ on: { rcpt: (address) => address === BOB ? "550 5.1.1 no such user" : undefined } }),
    mails: [[ANN, BOB, CAT]],
    expected: ["sent final 250, bounced rcpt recipient 550, sent final 250"],
  },
  {
    id: "M09",
    name: "450 to one RCPT of three",
    server: () => ({ on: { rcpt: (address) => address === BOB ? "450 4.2.1 busy" : undefined } }),
    mails: [[ANN, BOB, CAT]],
    expected: ["sent final 250, deferred rcpt recipient 450, sent final 250"],
  },
  {
    id: "M10",
    name: "452 4.5.3 after two RCPT",
    server: () => ({ on: { rcpt: (_, { count }) => count === 3 ? "452 4.5.3 too many" : undefined } }),
    mails: [[ANN, BOB, CAT]],
    expected: ["sent final 250, sent final 250, sent final 250"],
  },
  {
    id: "M11",
    name: "552 after two RCPT, which means 452",
    server: () => ({ on: { rcpt: (_, { count }) => count === 3 ? "552 too many recipients" : undefined } }),
    mails: [[ANN, BOB, CAT]],
    expected: ["sent final 250, sent final 250, sent final 250"],
  },
  {
    id: "M11",
    name: "552 to the only RCPT, which means 452",
    server: () => ({ on: { rcpt: () => "552 mailbox full" } }),
    expected: ["deferred rcpt recipient 552"],
  },
  {
    id: "M12",
    name: "251 and 252 to RCPT",
    server: () => ({
      on: { rcpt: (address) => address === ANN ? "251 2.1.5 will forward" : "252 2.1.5 cannot verify, will try" },
    }),
    mails: [[ANN, BOB]],
    expected: ["sent final 250, sent final 250"],
  },
  {
    id: "M13",
    name: "dropped between two replies to RCPT",
    server: () => ({ on: { rcpt: (_, { count }) => count === 2 ? { close: undefined } : undefined } }),
    mails: [[ANN, BOB]],
    expected: ["deferred rcpt network none, deferred rcpt network none"],
  },
  {
    id: "M14",
    name: "all replies of a group in one write",
    server: () => ({ groups: "joined" }),
    mails: [[ANN, BOB], [CAT]],
    expected: ["sent final 250, sent final 250", "sent final 250"],
  },
  {
    id: "M14",
    name: "the replies of a group byte by byte, one of them 550",
    server: () => ({
      splitBytes: 1,
      on: { rcpt: (address) => address === ANN ? "550-5.1.1 no\r\n550 5.1.1 such user" : undefined },
    }),
    mails: [[ANN, BOB]],
    expected: ["bounced rcpt recipient 550, sent final 250"],
    said: [[EHLO, MAIL, TO_ANN, TO_BOB, ...REST]],
  },
  {
    id: "M15",
    name: "421 between two mails, without being asked",
    between: async ({ server }) => {
      server.interject("421 4.4.2 too long idle\r\n");
      server.dropAll();
      await server.whenEmpty();
    },
    mails: [[ANN], [BOB]],
    expected: ["sent final 250", "sent final 250"],
  },
  {
    id: "M16",
    name: "no PIPELINING, and a group is taken for an attack",
    server: () => ({ offer: ["8BITMIME"], groups: "refused" }),
    mails: [[ANN, BOB]],
    expected: ["sent final 250, sent final 250"],
    said: [[EHLO, MAIL, TO_ANN, TO_BOB, ...REST]],
  },
  {
    id: "M16",
    name: "PIPELINING is offered, and of a group all but the first command is lost",
    server: (lab) => ({
      groups: "lost",
      on: {
        // Time passes from here on: no further command comes.
        mail: () => {
          void lab.wait(0);
          return undefined;
        },
      },
    }),
    passes: true,
    expected: ["deferred rcpt network none"],
  },
  {
    id: "M17",
    name: "RSET refused",
    server: () => ({
      on: { rset: () => "502 5.5.1 no RSET here", rcpt: (address) => address === ANN ? "550 5.1.1 no" : undefined },
    }),
    mails: [[ANN], [BOB]],
    expected: ["bounced rcpt recipient 550", "sent final 250"],
  },
  {
    id: "M18",
    name: "an address that needs SMTPUTF8, which is not offered",
    mails: [["jörg@corp.example", BOB], [CAT]],
    expected: ["bounced rcpt recipient none, sent final 250", "sent final 250"],
    said: [[EHLO, MAIL, TO_BOB, "DATA", "(content)", ".", MAIL, `RCPT TO:<${CAT}>`, ...REST]],
  },
  {
    id: "M19",
    name: "350 recipients, and a server that reads nothing while it cannot write its long replies",
    server: () => ({
      isNarrow: true,
      on: { rcpt: () => `${`250-${"y".repeat(500)}\r\n`.repeat(8)}250 2.1.5 recipient ok` },
    }),
    mails: [CROWD],
    expected: [CROWD.map(() => "sent final 250").join(", ")],
  },
];
