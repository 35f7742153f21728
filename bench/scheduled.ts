import postgres from "postgres";
import type { Benchmark, ByEffort } from "./benchmark.ts";
import { BATCH, claimAndGiveBack, openQueue } from "./claims.ts";
import { type Contender, measure } from "./measure.ts";
import { stockRows } from "./stock_rows.ts";

const SIZES: ByEffort<{ readonly scheduled: number; readonly due: number; readonly rounds: number }> = {
  full: { scheduled: 1_000_000, due: 1_000, rounds: 25 },
  quick: { scheduled: 200_000, due: 1_000, rounds: 9 },
  tiny: { scheduled: 1_000, due: 200, rounds: 1 },
};

const ALONE = "no scheduled mails";

/** Claims of what is due among mails that are not yet. */
export const scheduled: Benchmark = {
  name: "scheduled",
  async run(lab, effort) {
    const { scheduled, due, rounds } = SIZES[effort];
    const connections: postgres.Sql[] = [];
    try {
      const contenders: Contender[] = [];
      for (const count of [scheduled, 0]) {
        const sql = postgres(await lab.createDatabase(), { max: 1, onnotice: () => {} });
        connections.push(sql);
        await stockRows(sql, { scheduled: count, waiting: due, lane: 1 });
        const queue = await openQueue(sql);
        contenders.push({
          name: count === 0 ? ALONE : `${count} scheduled mails, enqueued before`,
          against: count === 0 ? [] : [ALONE],
          sample: () =>
            claimAndGiveBack(queue, due / BATCH, (claimed) => {
              // Rows are numbered in the order in which they were written: the scheduled ones first.
              const early = claimed.filter(({ seq }) => Number(seq) <= count).length;
              if (early > 0) throw new Error(`Cannot take the figure: ${early} mails were claimed before their time`);
            }),
        });
      }
      return {
        title: "Claims beside scheduled mails",
        method:
          `One database has ${scheduled} mails that are due in a day and ${due} that are due now, enqueued after them, in one lane; the other only the latter. A round claims all that is due, ${BATCH} mails ` +
          `at a time, and gives it back; a scheduled mail among them would be an error. ${rounds} rounds in turn.`,
        tables: [{ unit: `ms, claim of ${BATCH}`, rows: await measure(contenders, { rounds, better: "less" }) }],
      };
    } finally {
      for (const sql of connections) await sql.end({ timeout: 1 });
    }
  },
};
