import { join } from "node:path";
import postgres from "postgres";
import type { Benchmark, ByEffort } from "./benchmark.ts";
import { smallRequest } from "./mail.ts";
import { type Contender, measure, perSecond } from "./measure.ts";
import {
  checkNoJobs,
  GRAPHILE_SETTINGS,
  type GraphileWorker,
  graphileWorker,
  stockJobs,
} from "./peers/graphile_worker.ts";
import { NODEMAILER_SETTINGS, type NodemailerPool, nodemailerPool } from "./peers/nodemailer_pool.ts";
import { PG_BOSS_SETTINGS, pgBoss, type PgBossQueue } from "./peers/pg_boss.ts";
import { openRelay, type RelayTarget } from "./relay_here.ts";
import { runRelayOnce } from "./relay_process.ts";
import { startSink } from "./sink.ts";
import { checkAllSent, stockMails } from "./stock.ts";

const CONNECTIONS = 4;

/** Mails are chosen so that each contender works for about as long. */
const SIZES: ByEffort<{ readonly ours: number; readonly peers: number; readonly rounds: number }> = {
  full: { ours: 20_000, peers: 4_000, rounds: 7 },
  quick: { ours: 3_000, peers: 600, rounds: 3 },
  tiny: { ours: 40, peers: 20, rounds: 1 },
};

const HERE = "relay, in this process";
const PROCESS = "relay, `run --once` with its start and end";
const NODEMAILER = "nodemailer's pool, without any queue";
const GRAPHILE = "graphile-worker + nodemailer's pool";
const PG_BOSS = "pg-boss + nodemailer's pool";

const PEERS = [NODEMAILER, GRAPHILE, PG_BOSS];

/** From a full queue to SMTP 250 and settled. */
export const deliver: Benchmark = {
  name: "deliver",
  async run(lab, effort) {
    const { ours, peers, rounds } = SIZES[effort];
    await using sink = await startSink(lab.sinkKind);
    const url = await lab.createDatabase();
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    await using graphile = await graphileWorker(url);
    await using boss = await pgBoss(url);
    const target = { url, smtpPort: sink.port, connections: CONNECTIONS };
    const pool = nodemailerPool({ port: sink.port, connections: CONNECTIONS });
    const stateDirectory = join(lab.directory, "deliver");
    try {
      const contenders: readonly Contender[] = [
        { name: HERE, against: PEERS, sample: () => inThisProcess(sql, { target, count: ours }) },
        { name: NODEMAILER, sample: () => perSecond(peers, () => sendAll(pool, peers)) },
        {
          name: PROCESS,
          against: PEERS,
          async sample() {
            await stockMails(sql, ours);
            const { elapsedMs } = await runRelayOnce(target, { stateDirectory });
            await checkAllSent(sql);
            return ours * 1_000 / elapsedMs;
          },
        },
        { name: GRAPHILE, sample: () => withGraphile(sql, { graphile, pool, count: peers }) },
        { name: PG_BOSS, sample: () => withPgBoss(sql, { boss, pool, count: peers }) },
      ];
      const rows = await measure(contenders, { rounds, better: "more" });
      return {
        title: "Deliver: queue → SMTP 250 → settled",
        method:
          `Small text mails (${
            smallRequest("").text.length
          } characters, one recipient) over ${CONNECTIONS} connections to ${sink.name}; Postgres, sink and sender share this machine. ` +
          `A round is ${ours} mails for the relay and ${peers} for the others, ${rounds} rounds in turn; the queues are filled and vacuumed before the clock runs. ` +
          `nodemailer: ${CONNECTIONS} connections, ${NODEMAILER_SETTINGS}, ${
            CONNECTIONS * 4
          } mails handed to it at a time, same runtime. ` +
          `graphile-worker: ${GRAPHILE_SETTINGS}; a job composes and sends one mail through the same pool. ` +
          `pg-boss: ${PG_BOSS_SETTINGS}, through the same pool.`,
        tables: [{ unit: "mails/s", rows }],
      };
    } finally {
      pool.close();
      await sql.end({ timeout: 1 });
    }
  },
};

async function inThisProcess(
  sql: postgres.Sql,
  options: { readonly target: RelayTarget; readonly count: number },
): Promise<number> {
  await stockMails(sql, options.count);
  await using relay = await openRelay(options.target);
  const rate = await perSecond(options.count, () => relay.runOnce());
  await checkAllSent(sql);
  return rate;
}

async function withGraphile(
  sql: postgres.Sql,
  options: { readonly graphile: GraphileWorker; readonly pool: NodemailerPool; readonly count: number },
): Promise<number> {
  const { graphile, pool, count } = options;
  await stockJobs(sql, count);
  const rate = await perSecond(count, () => graphile.drain((mail) => pool.send(mail)));
  await checkNoJobs(sql);
  return rate;
}

async function withPgBoss(
  sql: postgres.Sql,
  options: { readonly boss: PgBossQueue; readonly pool: NodemailerPool; readonly count: number },
): Promise<number> {
  const { boss, pool, count } = options;
  await boss.stock(count);
  await sql.unsafe("vacuum analyze").simple();
  return await perSecond(count, () => boss.drain(count, (mail) => pool.send(mail)));
}

/**
 * Keeps the pool's own queue filled: more than its connections, not so many that the garbage of waiting mails is
 * measured.
 */
async function sendAll(pool: NodemailerPool, count: number): Promise<void> {
  let next = 0;
  const feed = async () => {
    while (next < count) await pool.send(smallRequest(`reader${next++}@example.com`));
  };
  await Promise.all(Array.from({ length: CONNECTIONS * 4 }, feed));
}
