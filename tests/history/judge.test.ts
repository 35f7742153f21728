import { describe, expect, test } from "bun:test";
import type { Cause } from "./duplicates.ts";
import type { Trouble } from "./fleet.ts";
import { type History, judge } from "./judge.ts";
import type { Entry } from "./ledger.ts";
import type { AttemptRow, MailRow } from "./rows.ts";
import type { Copy } from "./sink.ts";

// The judge is worth what it finds: each test hands it a history that must not be, and names what it has to say.

const ID = "01a2016b-3e1d-74a3-b095-2435e86bb668";
const T0 = 1_000_000;
const ANN = "m1r0@example.com";

function entry(change: Partial<Entry> = {}): Entry {
  return { token: "m1", recipients: [ANN], holds: false, hasOrder: true, fate: "committed", id: ID, ...change };
}

function copy(change: Partial<Copy> = {}): Copy {
  return {
    ...{ token: "m1", relay: "a", connection: 1, time: 1, messageId: `${ID}@shop.example`, content: "x" },
    ...{ recipients: [ANN], receivedMs: T0, answer: { code: 250, atMs: T0 } },
    ...change,
  };
}

function attempt(change: Partial<AttemptRow> = {}): AttemptRow {
  return { number: 1, position: 0, outcome: "sent", phase: "final", reply: "ok", relay: "1", atMs: T0 + 5, ...change };
}

function row(change: Partial<MailRow> & { readonly state?: string } = {}): MailRow {
  const { state = "sent", ...rest } = change;
  const recipients = [{ position: 0, email: ANN, state, reason: null }];
  return { seq: "1", id: ID, token: "m1", queued: undefined, recipients, attempts: [attempt()], ...rest };
}

interface Parts extends Partial<Omit<History, "rows" | "ledger" | "copies">> {
  readonly ledger?: readonly Entry[];
  readonly copies?: readonly Copy[];
  readonly mails?: readonly MailRow[];
  readonly orders?: readonly string[];
}

function judgeOf({ ledger = [entry()], copies = [copy()], mails = [row()], orders = ["m1"], ...rest }: Parts) {
  return judge({
    ...{ ledger, copies, rows: { mails, orders: new Set(orders) } },
    ...{ troubles: [], misbehaviours: [], leaseMs: 3_000, wasEmptied: true, tolerated: new Set<Cause>() },
    ...rest,
  });
}

const findingsOf = (parts: Parts) => judgeOf(parts).findings.map(({ kind }) => kind);
const uncertain = (atMs: number, number = 1) => attempt({ outcome: "uncertain", atMs, number });
const dropped = copy({ answer: undefined });
const second = copy({ receivedMs: T0 + 1_000, time: 2, connection: 2, answer: { code: 250, atMs: T0 + 1_000 } });

test("an honest history has no finding", () => {
  expect(judgeOf({})).toMatchObject({ findings: [], committed: 1, rolledBack: 0, recorded: 0, states: { sent: 1 } });
});

describe("finds", () => {
  const cases: readonly (readonly [name: string, parts: Parts, kinds: readonly string[]])[] = [
    ["a committed mail that the database does not know", { mails: [], copies: [] }, ["half_a_transaction", "lost"]],
    ["a sent mail that the server has not accepted", { copies: [] }, ["lost"]],
    ["a sent mail that the server received and never answered", { copies: [dropped] }, ["lost"]],
    ["a sent mail that the server refused", { copies: [copy({ answer: { code: 554, atMs: T0 } })] }, ["lost"]],
    [
      "a recipient that still waits at the end",
      {
        mails: [row({ state: "queued", queued: { isHeld: false, leasedBy: null, attempts: 0 }, attempts: [] })],
        copies: [],
      },
      ["lost"],
    ],
    [
      "a recipient that waits without a row in the queue",
      { mails: [row({ state: "deferred", attempts: [] })], copies: [] },
      ["lost", "states_disagree"],
    ],
    [
      "a row in the queue for nobody",
      { mails: [row({ queued: { isHeld: false, leasedBy: null, attempts: 1 } })] },
      ["states_disagree"],
    ],
    ["a queue that did not run empty", { wasEmptied: false }, ["lost"]],
    [
      "a mail that was received though it was rolled back",
      { ledger: [entry({ fate: "rolled_back" })], mails: [], orders: [] },
      ["sent_though_rolled_back"],
    ],
    ["a mail that is there though it was rolled back", { ledger: [entry({ fate: "rolled_back" })] }, [
      "half_a_transaction",
    ]],
    ["a mail without the order of its transaction", { orders: [] }, ["half_a_transaction"]],
    ["a mail that is in the queue twice", { mails: [row(), row({ seq: "2" })] }, ["queued_twice"]],
    ["a mail that has another id than its app was told", { ledger: [entry({ id: "other" })] }, ["queued_twice"]],
    ["a mail that nobody has enqueued", { copies: [copy(), copy({ token: "m2" })] }, ["states_disagree"]],
    [
      "copies with another Message-ID",
      {
        copies: [dropped, copy({ ...second, messageId: "other@shop.example" })],
        mails: [row({ attempts: [uncertain(T0 + 1), attempt({ number: 2 })] })],
      },
      ["message_id_differs"],
    ],
    [
      "copies with other bytes",
      {
        copies: [dropped, copy({ ...second, content: "y" })],
        mails: [row({ attempts: [uncertain(T0 + 1), attempt({ number: 2 })] })],
      },
      ["content_differs"],
    ],
    ["a recipient of nobody's choice", { copies: [copy({ recipients: [ANN, "eve@example.com"] })] }, [
      "sent_to_a_stranger",
    ]],
    ["a mail before its time", { ledger: [entry({ scheduledMs: T0 + 500 })] }, ["sent_before_its_time"]],
    ["a sent recipient without an attempt that says so", { mails: [row({ attempts: [] })] }, ["state_without_reason"]],
    ["a recipient that is sent by two attempts", { mails: [row({ attempts: [attempt(), attempt({ number: 2 })] })] }, [
      "state_without_reason",
    ]],
    ["a bounce that no attempt explains", { mails: [row({ state: "bounced", attempts: [] })], copies: [] }, [
      "state_without_reason",
    ]],
    [
      "a bounce of what the server has accepted",
      { mails: [row({ state: "bounced", attempts: [attempt({ outcome: "bounced" })] })] },
      ["sent_twice"],
    ],
    [
      "a held mail that nobody wanted held",
      {
        mails: [
          row({ state: "held", queued: { isHeld: true, leasedBy: null, attempts: 1 }, attempts: [uncertain(T0 + 1)] }),
        ],
        copies: [dropped],
      },
      ["state_without_reason"],
    ],
    ["a cancel that nobody has asked for", { mails: [row({ state: "canceled", attempts: [] })], copies: [] }, [
      "state_without_reason",
    ]],
    [
      "a mail that was taken back and received",
      { ledger: [entry({ canceled: "yes" })], mails: [row({ state: "canceled", attempts: [] })] },
      ["sent_though_canceled"],
    ],
    ["a second copy without an uncertain attempt", { copies: [copy(), second] }, ["sent_twice"]],
    [
      "a second copy whose only uncertain attempt is of the copy after it",
      {
        copies: [copy(), second, copy({ ...second, receivedMs: T0 + 5_000 })],
        mails: [row({ attempts: [uncertain(T0 + 1_010), attempt({ number: 2 })] })],
      },
      ["sent_twice"],
    ],
    ["a relay that ended by itself", { misbehaviours: [{ relay: "a", what: "ended with 1", atMs: T0 }] }, [
      "misbehaved",
    ]],
  ];
  for (const [name, parts, kinds] of cases) {
    test(name, () => expect(findingsOf(parts)).toEqual(kinds as ReturnType<typeof findingsOf>));
  }
});

describe("is content with", () => {
  const cases: readonly (readonly [name: string, parts: Parts])[] = [
    ["a second copy after an uncertain attempt", {
      copies: [dropped, second],
      mails: [row({ attempts: [uncertain(T0 + 1), attempt({ number: 2 })] })],
    }],
    ["a copy that was refused before", { copies: [copy({ answer: { code: 451, atMs: T0 } }), second] }],
    ["a lost COMMIT that was none", { ledger: [entry({ fate: "unknown" })], mails: [], copies: [], orders: [] }],
    ["a lost COMMIT that was one", { ledger: [entry({ fate: "unknown" })] }],
    [
      "a held mail, with the reason",
      {
        ledger: [entry({ holds: true })],
        mails: [
          row({ state: "held", queued: { isHeld: true, leasedBy: null, attempts: 1 }, attempts: [uncertain(T0 + 1)] }),
        ],
        copies: [dropped],
      },
    ],
  ];
  for (const [name, parts] of cases) test(name, () => expect(findingsOf(parts)).toEqual([]));
});

describe("a second copy without an uncertain attempt is counted for", () => {
  const trouble = (kind: Trouble["kind"], relay: Trouble["relay"], fromMs: number, toMs = fromMs): Trouble => ({
    kind,
    relay,
    fromMs,
    toMs,
  });
  const cases: readonly (readonly [cause: Cause, why: string, trouble: Trouble])[] = [
    ["killed", "its relay died between the two", trouble("killed", "a", T0 + 500)],
    ["unexplained", "another relay died", trouble("killed", "b", T0 + 500)],
    ["unexplained", "its relay died after the second", trouble("killed", "a", T0 + 1_500)],
    ["unexplained", "its relay died long before the first", trouble("killed", "a", T0 - 60_000)],
    ["frozen", "its relay stood still between the two", trouble("frozen", "a", T0 + 100, T0 + 10_000)],
    ["frozen", "the relay of the second stood still", trouble("frozen", "b", T0 - 5_000, T0 + 999)],
    ["database", "the database was away", trouble("database", undefined, T0 - 1_000, T0 + 200)],
  ];
  for (const [cause, why, ...troubles] of cases) {
    test(`${cause}: ${why}`, () => {
      const copies = [copy(), copy({ ...second, relay: "b" })];
      expect(judgeOf({ copies, troubles }).unrecorded[cause]).toBe(1);
      expect(judgeOf({ copies, troubles, tolerated: new Set([cause]) }).findings).toEqual([]);
      expect(findingsOf({ copies, troubles })).toEqual(["sent_twice"]);
    });
  }
});

test("a mail is failed for the deaths of relays only where there were so many", () => {
  const reason = "The relay has died 4 times in a row with this mail in flight, the last time with nothing else";
  const failed = row({ recipients: [{ position: 0, email: ANN, state: "failed", reason }], attempts: [] });
  const death: Trouble = { kind: "killed", relay: "a", fromMs: T0, toMs: T0 };
  const after = (deaths: number) => findingsOf({ mails: [failed], copies: [], troubles: Array(deaths).fill(death) });
  expect(after(3)).toEqual(["state_without_reason"]);
  expect(after(4)).toEqual([]);
  const other = row({ recipients: [{ position: 0, email: ANN, state: "failed", reason: "No route" }], attempts: [] });
  expect(findingsOf({ mails: [other], copies: [], troubles: Array(4).fill(death) })).toEqual(["lost"]);
});
