import { PgBoss } from "pg-boss";
import { FROM, SUBJECT, TEXT } from "../mail.ts";
import type { Task } from "./graphile_worker.ts";

const QUEUE = "mail";

/**
 * For throughput, as its types say: large batches without an order, fetched one after the other while they come back
 * full.
 */
const FOR_THROUGHPUT = {
  batchSize: 250,
  localConcurrency: 2,
  orderByCreatedOn: false,
  priority: false,
  burstWhenBatchFull: true,
  pollingIntervalSeconds: 0.5,
} as const;

/** As `FOR_THROUGHPUT`, for the report. */
export const PG_BOSS_SETTINGS =
  "2 workers with batches of 250, burstWhenBatchFull, neither priority nor order, no supervision meanwhile; a batch is completed in one statement";

/** How many jobs a statement puts in. */
const STOCK = 1_000;

/** Its queue in one database, and its workers in this process. */
export interface PgBossQueue extends AsyncDisposable {
  /** Puts mails into its queue. */
  stock(count: number): Promise<void>;
  /** Works until so many jobs are done and completed. */
  drain(count: number, task: Task): Promise<void>;
}

/** Makes its schema and opens its connections. Its package asks for Node 22, which Bun stands for. */
export async function pgBoss(url: string): Promise<PgBossQueue> {
  const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false });
  const errors: Error[] = [];
  boss.on("error", (error) => errors.push(error));
  await boss.start();
  await boss.createQueue(QUEUE);
  return {
    async stock(count) {
      for (let from = 0; from < count; from += STOCK) {
        const jobs = Array.from({ length: Math.min(STOCK, count - from) }, (_, number) => ({
          data: {
            from: `${FROM.name} <${FROM.email}>`,
            to: `reader${from + number}@example.com`,
            subject: SUBJECT,
            text: TEXT,
          },
        }));
        await boss.insert(QUEUE, jobs);
      }
    },
    async drain(count, task) {
      const { promise: allSent, resolve } = Promise.withResolvers<void>();
      let sent = 0;
      await boss.work(QUEUE, FOR_THROUGHPUT, async (jobs) => {
        await Promise.all(jobs.map(async ({ data }) => await task(data as Parameters<Task>[0])));
        sent += jobs.length;
        if (sent >= count) resolve();
      });
      await allSent;
      // Ends when the last batches are completed.
      await boss.offWork(QUEUE, { wait: true });
      const left = await boss.getDb().executeSql("select from pgboss.job where state <> 'completed' limit 1");
      if (left.rows.length > 0 || errors.length > 0) {
        throw new Error("Cannot take the figure: pg-boss left jobs", { cause: errors[0] });
      }
    },
    [Symbol.asyncDispose]: () => boss.stop({ graceful: false }),
  };
}
