import type { TransportFault } from "./fault.ts";

/** So many mails, to one recipient each. */
function mailsTo(count: number): readonly (readonly string[])[] {
  return Array.from({ length: count }, (_, number) => [`u${number}@corp.example`]);
}

function each<T>(count: number, value: T): readonly T[] {
  return Array.from({ length: count }, () => value);
}

const SENT = "sent final 250";

/** What happens to a connection over many mails. */
export const SESSION_FAULTS: readonly TransportFault[] = [
  {
    id: "S01",
    name: "closed after every second mail",
    server: () => ({ on: { content: (_, { count }) => count === 2 ? { close: "250 2.0.0 taken" } : undefined } }),
    mails: mailsTo(6),
    expected: each(6, SENT),
  },
  {
    id: "S01",
    name: "closed after every second mail, with all mails waiting",
    server: () => ({ on: { content: (_, { count }) => count === 2 ? { close: "250 2.0.0 taken" } : undefined } }),
    mails: mailsTo(6),
    isTogether: true,
    expected: each(6, SENT),
  },
  {
    id: "S02",
    name: "421 to every third MAIL",
    server: () => ({ on: { mail: (_, { count }) => count === 3 ? { close: "421 4.7.0 enough for now" } : undefined } }),
    mails: mailsTo(6),
    isTogether: true,
    expected: each(6, SENT),
  },
  {
    id: "S03",
    name: "closed while idle",
    between: async ({ server }) => {
      server.dropAll();
      await server.whenEmpty();
    },
    mails: mailsTo(3),
    expected: each(3, SENT),
  },
  {
    id: "S03",
    name: "closed just when the next mail comes",
    // The next mail is on its way before we hear of the end.
    between: ({ server }) => {
      server.dropAll();
      return Promise.resolve();
    },
    mails: mailsTo(3),
    expected: each(3, SENT),
  },
  {
    id: "S04",
    name: "QUIT unanswered",
    server: (lab) => ({ on: { quit: () => lab.hang() } }),
    passes: true,
    expected: [SENT],
  },
  {
    id: "S05",
    name: "421 to the third connection of four",
    server: (lab) => ({
      on: {
        connect: () => {
          if (lab.server.openCount <= 2) return undefined;
          return { close: "421 4.7.0 too many connections" };
        },
      },
    }),
    client: { connections: 4 },
    mails: mailsTo(12),
    isTogether: true,
    expected: each(12, SENT),
  },
  {
    id: "S06",
    name: "451 4.7.1 to every mail after the third",
    server: () => ({ on: { mail: (_, { count }) => count > 3 ? "451 4.7.1 slow down" : undefined } }),
    mails: mailsTo(5),
    expected: [SENT, SENT, SENT, "deferred mail sender 451", "deferred mail sender 451"],
  },
];
