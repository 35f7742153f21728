import { randomUUID } from "node:crypto";
import { join } from "node:path";
import postgres from "postgres";
import { registerRelay, setAsleep } from "../relay/queue/relay_row.ts";
import { createMailer } from "../src/client.ts";
import type { Benchmark, ByEffort, Table } from "./benchmark.ts";
import { smallRequest } from "./mail.ts";
import { type Contender, measure, perSecond } from "./measure.ts";
import { BARE_CALL, BARE_INSERT, makeBareTable } from "./peers/bare_insert.ts";
import { ADD_JOB, graphileWorker } from "./peers/graphile_worker.ts";
import { startRelay } from "./relay_process.ts";
import { startSink } from "./sink.ts";
import { runWriters } from "./writers.ts";

interface Size {
  readonly commits: number;
  readonly rounds: number;
}

/** Few commits a round and many rounds: what a disk does with fsync drifts by the second. */
const SIZES: ByEffort<Size> = {
  full: { commits: 400, rounds: 15 },
  quick: { commits: 100, rounds: 5 },
  tiny: { commits: 8, rounds: 1 },
};

/** How Postgres is told to wait before each flush of its log, as a slower disk would make it. */
const SLOW_DISK_MS = 2.4;
// As text: postgres.js leaves out a setting that is 0, and then nobody waits who commits alone.
const SLOW_DISK = { commit_delay: String(SLOW_DISK_MS * 1_000), commit_siblings: "0" };

const BARE = "bare insert of the same bytes";
const BARE_FUNCTION = "the bare insert in a function, which checks nothing";

/** Mails one by one, each in a transaction of its own. */
export const enqueue: Benchmark = {
  name: "enqueue",
  async run(lab, effort) {
    const { commits, rounds } = SIZES[effort];
    const url = await lab.createDatabase();
    const admin = postgres(url, { max: 2, onnotice: () => {} });
    // A database of its own, so that this relay has nothing to do in the turns of the others.
    const servedUrl = await lab.createDatabase();
    const served = postgres(servedUrl, { max: 1, onnotice: () => {} });
    try {
      await using sink = await startSink(lab.sinkKind);
      const target = { url: servedUrl, smtpPort: sink.port, connections: 4 };
      await using _relay = startRelay(target, { stateDirectory: join(lab.directory, "enqueue") });
      await makeBareTable(admin);
      await using _schema = await graphileWorker(url);
      const relayId = await registerRelay(admin, { instance: randomUUID(), host: "bench", pid: process.pid });
      await admin.listen("mailchute", () => undefined);
      const tables: Table[] = [];
      for (const isSlow of [false, true]) {
        for (const writers of [1, 8]) {
          const options = { max: writers, onnotice: () => {}, connection: isSlow ? SLOW_DISK : {} };
          const sql = postgres(url, options);
          const beside = postgres(servedUrl, options);
          const size = { count: commits * Math.min(writers, 4), writers };
          const contenders = contendersOf(sql, size, {
            beside,
            idle: () => untilIdle(served),
            sleep: (asleep) => setAsleep(admin, relayId, asleep),
          });
          tables.push({
            unit: `commits/s, ${writers === 1 ? "1 writer" : `${writers} writers`}${isSlow ? ", slower disk" : ""}`,
            rows: await measure(contenders, { rounds: isSlow ? Math.ceil(rounds / 3) : rounds, better: "more" }),
          });
          await sql.end({ timeout: 1 });
          await beside.end({ timeout: 1 });
        }
      }
      return {
        title: "Enqueue, one by one",
        method:
          `One mail (about 500 bytes of JSON), one commit, fsync on; ${commits} commits a round (${
            commits * 4
          } with 8 writers), ${rounds} rounds in turn, one connection for each writer. ` +
          "All through postgres.js with a prepared statement, one round trip each: `mail.send` of the client with all its checks; " +
          "an insert of the same JSON into a table with a primary key; that insert in a function that apps without rights on the table may call, which is " +
          "what `enqueue_v1` costs before it checks or stores anything of a mail; `graphile_worker.add_job` with the mail as its payload. " +
          "The relay that delivers has a process of its own and sends what comes, over 4 connections, on the same machine at the same time. " +
          "Every commit rings when a relay sleeps on, though mail flows (it hangs, or its listening connection is lost): the worst case, in which each " +
          "commit carries a NOTIFY to a connection that listens. " +
          `Slower disk: Postgres waits ${SLOW_DISK_MS} ms before each flush (commit_delay), which is what an fsync takes on many cloud volumes; commits that wait together share it.`,
        tables,
      };
    } finally {
      await admin.end({ timeout: 1 });
      await served.end({ timeout: 1 });
    }
  },
};

/** The relays of a comparison. */
interface Relays {
  /** Connections to the database that a relay serves. */
  readonly beside: postgres.Sql;
  /** Resolves when that relay has sent all, and sleeps. */
  idle(): Promise<void>;
  /** Says of the relay that is none, in the other database, whether it sleeps. */
  sleep(asleep: boolean): Promise<void>;
}

async function untilIdle(sql: postgres.Sql): Promise<void> {
  for (;;) {
    const [row] = await sql`
      select exists (select from mailchute.relay where asleep) and not exists (select from mailchute.queue) as idle`;
    if (row?.idle === true) return;
    await Bun.sleep(5);
  }
}

function contendersOf(
  sql: postgres.Sql,
  size: { readonly count: number; readonly writers: number },
  relays: Relays,
): readonly Contender[] {
  const mail = createMailer(sql);
  const mailBeside = createMailer(relays.beside);
  const rate = (work: (number: number) => Promise<unknown>) => perSecond(size.count, () => runWriters(size, work));
  const to = (number: number) => `reader${number}@example.com`;
  const send = (number: number) => mail.send(smallRequest(to(number)));
  const bytes = async (number: number) => {
    const { id, values } = await mail.statement(smallRequest(to(number)));
    return [id, values[0] ?? ""];
  };

  return [
    {
      name: "mail.send, no relay",
      against: [BARE],
      async sample() {
        await relays.sleep(false);
        return await rate(send);
      },
    },
    {
      name: BARE,
      async sample() {
        // Made before the clock runs: the bare insert is to be the database's work alone.
        const rows: string[][] = [];
        for (let number = 0; number < size.count; number++) rows.push(await bytes(number));
        return await rate((number) => sql.unsafe(BARE_INSERT, rows[number] ?? [], { prepare: true }));
      },
    },
    {
      name: BARE_FUNCTION,
      against: [BARE],
      async sample() {
        const rows: string[][] = [];
        for (let number = 0; number < size.count; number++) rows.push((await bytes(number)).slice(1));
        return await rate((number) => sql.unsafe(BARE_CALL, rows[number] ?? [], { prepare: true }));
      },
    },
    {
      name: "mail.send, a relay delivers meanwhile",
      against: [BARE],
      async sample() {
        await relays.idle();
        const measured = await rate((number) => mailBeside.send(smallRequest(to(number))));
        await relays.idle();
        return measured;
      },
    },
    {
      name: "mail.send, every commit rings",
      against: [BARE],
      async sample() {
        await relays.sleep(true);
        const measured = await rate(send);
        await relays.sleep(false);
        return measured;
      },
    },
    {
      name: "graphile-worker's add_job",
      against: [BARE],
      sample: () =>
        rate((number) => sql.unsafe(ADD_JOB, [JSON.stringify(smallRequest(to(number)))], { prepare: true })),
    },
  ];
}
