import postgres, { type Sql } from "postgres";
import type { ClaimedMessage, Queue } from "../relay/queue/queue.ts";
import { systemClock } from "../relay/time/clock.ts";
import { createMailer } from "../src/client.ts";
import type { Benchmark, ByEffort, Table } from "./benchmark.ts";
import { BATCH, claimAndGiveBack, openQueue } from "./claims.ts";
import type { Lab } from "./lab.ts";
import { smallRequest } from "./mail.ts";
import { type Contender, measure, millisecondsOf, spread } from "./measure.ts";
import { fitting, stockRows } from "./stock_rows.ts";

interface Size {
  readonly finished: number;
  readonly waiting: number;
  /** Mails that are sent while a snapshot is held. */
  readonly held: number;
  /** How often. One pass alone may be a third away from the next. */
  readonly passes: number;
  /** Claims, and commits, in a round. */
  readonly times: number;
  readonly rounds: number;
}

const SIZES: ByEffort<Size> = {
  full: { finished: 10_000_000, waiting: 1_000_000, held: 240_000, passes: 7, times: 50, rounds: 15 },
  quick: { finished: 500_000, waiting: 200_000, held: 60_000, passes: 3, times: 20, rounds: 7 },
  tiny: { finished: 500, waiting: 600, held: 800, passes: 1, times: 2, rounds: 1 },
};

const SMALL = "nothing else in the tables";
const BEGINNING = "the first tenth";

/** Claim and enqueue beside millions of mails, and while somebody holds a snapshot. */
export const scale: Benchmark = {
  name: "scale",
  async run(lab, effort) {
    const size = SIZES[effort];
    const finished = fitting(lab.directory, size.finished);
    const { waiting, held, passes, rounds, times } = size;
    const tables = [
      ...await besideMany(lab, { ...size, finished }),
      ...await whileHeld(lab, size),
    ];
    const leftOut = finished < size.finished
      ? ` (${size.finished} were wanted, and the disk has no room for them)`
      : "";
    return {
      title: "Claim and enqueue at scale",
      method:
        `One database has ${finished} finished mails${leftOut} and ${waiting} waiting ones, written as rows that share one content; the other only what a round needs. ` +
        `A round is ${times} claims of ${BATCH} mails, given back before the next round, or ${times} commits of \`mail.send\` with synchronous_commit off, since it is not the disk ` +
        `that is compared; ${rounds} rounds in turn, Postgres with 128 MB of shared buffers. While a snapshot is held (an open REPEATABLE READ transaction): ${held} mails are claimed and ` +
        `settled, ${BATCH} at a time; the median claim of the last tenth beside that of the first, with floors (${passes} passes) and with each claim from the first entry of the index (one pass).`,
      tables,
    };
  },
};

/** One database. */
interface Side {
  readonly name: "many" | "small";
  readonly sql: Sql;
  readonly queue: Queue;
}

async function besideMany(lab: Lab, size: Size): Promise<readonly Table[]> {
  const { finished, waiting, times, rounds } = size;
  const sides: Side[] = [];
  try {
    for (const [name, stock] of [["many", { finished, waiting }], ["small", { waiting: times * BATCH }]] as const) {
      const sql = postgres(await lab.createDatabase(), { max: 1, onnotice: () => {} });
      await stockRows(sql, { ...stock, lane: 1 });
      sides.push({ name, sql, queue: await openQueue(sql) });
    }
    const many = `${finished} finished and ${waiting} waiting mails`;
    const contenders = (sample: (side: Side) => Promise<number>): readonly Contender[] =>
      sides.map((side) => ({
        name: side.name === "many" ? many : SMALL,
        against: side.name === "many" ? [SMALL] : [],
        sample: () => sample(side),
      }));
    const options = { rounds, better: "less" } as const;
    return [
      {
        unit: `ms, claim of ${BATCH}`,
        rows: await measure(contenders(({ queue }) => claimAndGiveBack(queue, times)), options),
      },
      { unit: "ms, enqueue", rows: await measure(contenders(({ sql }) => enqueueEach(sql, times)), options) },
    ];
  } finally {
    for (const { sql } of sides) await sql.end({ timeout: 1 });
  }
}

async function enqueueEach(sql: Sql, times: number): Promise<number> {
  const mail = createMailer(sql);
  await sql`set synchronous_commit = off`;
  const elapsedMs = await millisecondsOf(async () => {
    for (let count = 0; count < times; count++) await mail.send(smallRequest(`reader${count}@example.com`));
  });
  await sql`set synchronous_commit = on`;
  // The next round is to find as many mails as this one.
  await sql`delete from mailchute.queue where seq > (select last_value - ${times} from mailchute.message_seq_seq)`;
  return elapsedMs / times;
}

async function whileHeld(lab: Lab, { held, passes }: Size): Promise<readonly Table[]> {
  const tables: Table[] = [];
  let ticks = 0;
  for (
    const [name, now, rounds] of [
      ["with floors", systemClock.now, passes],
      // By this clock each claim is a second after the one before it. It is so slow that one pass tells.
      ["each from the first entry", () => ticks += 1_000, 1],
    ] as const
  ) {
    let times: readonly number[] = [];
    const end: Contender = {
      name: "the last tenth",
      against: [BEGINNING],
      sample: async () => {
        times = await claimWhileHeld(lab, { held, now });
        return medianOf(times.slice(-tenthOf(times)));
      },
    };
    // Of the same pass.
    const beginning: Contender = {
      name: BEGINNING,
      sample: () => Promise.resolve(medianOf(times.slice(0, tenthOf(times)))),
    };
    tables.push({
      unit: `ms, claim of ${BATCH}, ${name}, a snapshot is held`,
      rows: await measure([end, beginning], { rounds, warmUps: 0, better: "less" }),
    });
  }
  return tables;
}

/** Sends all mails of a new database while a snapshot is held. @returns how long each claim took */
async function claimWhileHeld(
  lab: Lab,
  { held, now }: { readonly held: number; readonly now: () => number },
): Promise<readonly number[]> {
  const url = await lab.createDatabase();
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  const holder = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await stockRows(sql, { waiting: held });
    return await holder.begin("isolation level repeatable read", async (tx) => {
      await tx`select from mailchute.relay`;
      return await claimAndSettle(await openQueue(sql, now), held);
    });
  } finally {
    await holder.end({ timeout: 1 });
    await sql.end({ timeout: 1 });
  }
}

function tenthOf(times: readonly number[]): number {
  return Math.max(1, Math.floor(times.length / 10));
}

function medianOf(times: readonly number[]): number {
  return spread(times).median;
}

/** Sends all mails, as far as the database is concerned. @returns how long each claim took */
async function claimAndSettle(queue: Queue, count: number): Promise<readonly number[]> {
  const times: number[] = [];
  for (let left = count; left > 0;) {
    let messages: readonly ClaimedMessage[] = [];
    times.push(await millisecondsOf(async () => messages = (await queue.claim(BATCH)).messages));
    if (messages.length === 0) throw new Error(`Cannot take the figure: ${left} mails were not found`);
    left -= (await queue.settle(messages.map(settlementOf))).size;
  }
  return times;
}

function settlementOf({ seq, lease, attempt }: ClaimedMessage): Parameters<Queue["settle"]>[0][number] {
  const outcome = {
    position: 0,
    kind: "sent",
    phase: "final",
    blame: "recipient",
    reason: "2.0.0 Ok",
    route: "default",
  } as const;
  return {
    seq,
    lease,
    attempt,
    next: undefined,
    outcomes: [outcome],
    recipients: [{ position: 0, state: "sent", reason: undefined }],
  };
}
