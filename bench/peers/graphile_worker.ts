import { Logger, run, runMigrations, type Runner, type RunnerOptions, runOnce } from "graphile-worker";
import { Pool } from "pg";
import type { Sql } from "postgres";
import { FROM, SUBJECT, TEXT } from "../mail.ts";
import type { PlainMail } from "./nodemailer_pool.ts";

/** What its page on performance runs with, for throughput: https://worker.graphile.org/docs/performance */
const FOR_THROUGHPUT = {
  concurrentJobs: 24,
  maxPoolSize: 25,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
} as const;

/** As `FOR_THROUGHPUT`, for the report. */
export const GRAPHILE_SETTINGS =
  "24 concurrent jobs, localQueue 500, completeJobBatchDelay 0, 25 Postgres connections, as its page on performance has it";

/** Does the work of a job. */
export type Task = (mail: PlainMail) => Promise<unknown>;

/** Its queue in one database, and its workers in this process. */
export interface GraphileWorker extends AsyncDisposable {
  /** Works until there is nothing left, with the settings for throughput. */
  drain(task: Task): Promise<void>;
  /** Starts to wait for jobs, with its default settings but for the number of jobs at a time. */
  wait(task: Task): Promise<Runner>;
}

/** Makes its schema and opens its connections. */
export async function graphileWorker(url: string): Promise<GraphileWorker> {
  const pool = new Pool({ connectionString: url, max: FOR_THROUGHPUT.maxPoolSize });
  // It wants both: a connection that dies while it is idle is not a fault of the measurement.
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  const options: RunnerOptions = { pgPool: pool, logger: new Logger(() => () => undefined), noHandleSignals: true };
  await runMigrations(options);
  const tasksOf = (task: Task) => ({ mail: (payload: unknown) => task(payload as PlainMail) as Promise<void> });
  return {
    drain: (task) => runOnce({ ...options, taskList: tasksOf(task), preset: { worker: FOR_THROUGHPUT } }),
    wait: (task) => run({ ...options, taskList: tasksOf(task), preset: { worker: { concurrentJobs: 4 } } }),
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

/** One job, by the SQL function that is there for callers in any language. */
export const ADD_JOB = "select graphile_worker.add_job('mail', $1::text::json)";

const ADD_JOBS = `
select graphile_worker.add_jobs(array_agg(json_populate_record(null::graphile_worker.job_spec, json_build_object(
  'identifier', 'mail', 'payload', json_build_object('from', $2::text, 'to', 'reader' || n || '@example.com', 'subject', $3::text, 'text', $4::text)))))
from generate_series(1, $1::int) as n`;

/** Puts mails into its queue, all at once. */
export async function stockJobs(sql: Sql, count: number): Promise<void> {
  await sql.unsafe(ADD_JOBS, [count, `${FROM.name} <${FROM.email}>`, SUBJECT, TEXT]);
  await sql.unsafe("vacuum analyze").simple();
}

/** @throws {Error} when a job is still there: what was measured was not the whole work */
export async function checkNoJobs(sql: Sql): Promise<void> {
  const [row] = await sql`select count(*)::int as left from graphile_worker.jobs`;
  if (row?.left !== 0) throw new Error(`Cannot take the figure: graphile-worker left ${row?.left} jobs`);
}
