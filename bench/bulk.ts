import postgres from "postgres";
import { createMailer } from "../src/client.ts";
import type { Benchmark, ByEffort } from "./benchmark.ts";
import { FROM, smallRequest, SUBJECT, TEXT } from "./mail.ts";
import { type Contender, measure, perSecond } from "./measure.ts";
import { BARE_INSERT, makeBareTable } from "./peers/bare_insert.ts";
import { SEND_MANY } from "./stock.ts";

const SIZES: ByEffort<{ readonly mails: number; readonly rounds: number }> = {
  full: { mails: 1_000, rounds: 11 },
  quick: { mails: 300, rounds: 5 },
  tiny: { mails: 10, rounds: 1 },
};

const BARE = "bare inserts, one after the other";
const BARE_TOGETHER = "bare inserts, all at once";

/** Many mails in one transaction. */
export const bulk: Benchmark = {
  name: "bulk",
  async run(lab, effort) {
    const { mails, rounds } = SIZES[effort];
    const url = await lab.createDatabase();
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    try {
      await makeBareTable(sql);
      const rows = await measure(contendersOf(sql, mails), { rounds, better: "more" });
      return {
        title: "Enqueue many, in one transaction",
        method:
          `${mails} small mails, each with a content of its own, in one transaction on one connection, commit with fsync included; ${rounds} rounds in turn. ` +
          "One after the other: each statement waits for the answer of the one before, as `await` in a loop does; all at once: postgres.js sends them without waiting. " +
          "By SQL: `select mailchute.send(…) from generate_series(…)`, one statement, compared with bare inserts one after the other.",
        tables: [{ unit: "mails/s", rows }],
      };
    } finally {
      await sql.end({ timeout: 1 });
    }
  },
};

function contendersOf(sql: postgres.Sql, count: number): readonly Contender[] {
  const mail = createMailer(sql, { transaction: "required" });
  const requests = Array.from({ length: count }, (_, number) => smallRequest(`reader${number}@example.com`));
  const inTransaction = (work: (tx: postgres.TransactionSql) => Promise<unknown>) =>
    perSecond(count, () => sql.begin(work));
  const bareRows = () =>
    Promise.all(requests.map(async (request) => {
      const { id, values } = await mail.statement(request);
      return [id, values[0] ?? ""];
    }));

  return [
    {
      name: "mail.send, one after the other",
      against: [BARE],
      sample: () =>
        inTransaction(async (tx) => {
          for (const request of requests) await mail.send(request, { tx });
        }),
    },
    {
      name: BARE,
      async sample() {
        const rows = await bareRows();
        return await inTransaction(async (tx) => {
          for (const row of rows) await tx.unsafe(BARE_INSERT, row, { prepare: true });
        });
      },
    },
    {
      name: "mail.send, all at once",
      against: [BARE_TOGETHER],
      sample: () => inTransaction((tx) => Promise.all(requests.map((request) => mail.send(request, { tx })))),
    },
    {
      name: BARE_TOGETHER,
      async sample() {
        const rows = await bareRows();
        return await inTransaction((tx) =>
          Promise.all(rows.map((row) => tx.unsafe(BARE_INSERT, row, { prepare: true })))
        );
      },
    },
    {
      name: "mailchute.send by SQL",
      against: [BARE],
      sample: () =>
        inTransaction((tx) =>
          tx.unsafe(SEND_MANY, [count, `${FROM.name} <${FROM.email}>`, SUBJECT, TEXT], { prepare: true })
        ),
    },
  ];
}
