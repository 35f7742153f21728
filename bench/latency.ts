import postgres from "postgres";
import { createMailer } from "../src/client.ts";
import type { Benchmark, ByEffort } from "./benchmark.ts";
import { smallRequest } from "./mail.ts";
import { type Measured, quantile } from "./measure.ts";
import { ADD_JOB, graphileWorker } from "./peers/graphile_worker.ts";
import { nodemailerPool } from "./peers/nodemailer_pool.ts";
import { openRelay } from "./relay_here.ts";
import { serveSink } from "./sink_server.ts";

const CONNECTIONS = 4;
/** The first ones open connections and compile. */
const WARM_UPS = 3;

const SAMPLES: ByEffort<number> = { full: 400, quick: 60, tiny: 3 };

/** How long one mail took, from the answer to the commit. */
interface Journey {
  /** Until its MAIL was at the SMTP server: claimed, composed, and on its way. */
  readonly mailMs: number;
  /** Until its final dot was there. */
  readonly deliveredMs: number;
}

/** One side: puts a mail into its queue, and says when its workers are idle again. */
interface Side {
  readonly name: string;
  enqueue(number: number): Promise<unknown>;
  idle(): Promise<unknown>;
}

/** From commit to delivered, one mail at a time, with nothing else to do. */
export const latency: Benchmark = {
  name: "latency",
  async run(lab, effort) {
    const count = SAMPLES[effort];
    const watched = watchedSink();
    const url = await lab.createDatabase();
    const sql = postgres(url, { max: 2, onnotice: () => {} });
    const pool = nodemailerPool({ port: watched.port, connections: CONNECTIONS });
    try {
      await using graphile = await graphileWorker(url);
      await using relay = await openRelay({ url, smtpPort: watched.port, connections: CONNECTIONS });
      relay.start();
      const runner = await graphile.wait((mail) => pool.send(mail));
      const sides = [relaySide(sql), graphileSide(sql)];
      const journeys = new Map<Side, Journey[]>(sides.map((side) => [side, []]));
      for (let number = -WARM_UPS; number < count; number++) {
        for (const side of sides) {
          await side.idle();
          const journey = await travel(side, { number, watched });
          if (number >= 0) journeys.get(side)?.push(journey);
        }
      }
      await runner.stop();
      const row = (side: Side, share: number, key: keyof Journey) =>
        percentile((journeys.get(side) ?? []).map((journey) => journey[key]), { side, share });
      const table = (key: keyof Journey, what: string) => ({
        unit: `ms, commit → ${what}`,
        rows: [0.5, 0.99].flatMap((share) => sides.map((side) => row(side, share, key))),
      });
      return {
        title: "From commit to delivered, idle relay",
        method:
          `One mail at a time, ${count} each in turn, after the relay has gone to sleep (LISTEN; its poll of 5 s plays no part). The clock starts when the client has ` +
          "the answer to its commit, and stops when MAIL, which is sent once the mail is claimed and composed, and when the final dot arrives at a sink in this process. " +
          `graphile-worker: 4 concurrent jobs, else its defaults, and nodemailer's pool (${CONNECTIONS} connections, kept open as the relay's are). ` +
          "Ranges are the least and the greatest of all samples.",
        tables: [table("mailMs", "MAIL at the server (claimed)"), table("deliveredMs", "final dot (delivered)")],
      };
    } finally {
      pool.close();
      watched.stop();
      await sql.end({ timeout: 1 });
    }
  },
};

function percentile(
  values: readonly number[],
  options: { readonly side: Side; readonly share: number },
): Measured {
  const sorted = values.toSorted((a, b) => a - b);
  return {
    name: `${options.side.name}, p${options.share * 100}`,
    median: quantile(sorted, options.share),
    low: quantile(sorted, 0),
    high: quantile(sorted, 1),
    ratios: [],
  };
}

async function travel(
  side: Side,
  options: { readonly number: number; readonly watched: ReturnType<typeof watchedSink> },
): Promise<Journey> {
  const arrived = options.watched.next();
  await side.enqueue(options.number);
  const committedMs = performance.now();
  const { mailMs, deliveredMs } = await arrived;
  // The bell may be heard before the answer to the commit is read: then no time has passed at all.
  return { mailMs: Math.max(0, mailMs - committedMs), deliveredMs: Math.max(0, deliveredMs - committedMs) };
}

/** A sink in this process, so that there is one clock. */
function watchedSink(): { readonly port: number; next(): Promise<Journey>; stop(): void } {
  let mailMs = 0;
  let resolve: ((journey: Journey) => void) | undefined;
  const sink = serveSink({
    onMail: () => mailMs = performance.now(),
    onAccepted: () => resolve?.({ mailMs, deliveredMs: performance.now() }),
  });
  return { ...sink, next: () => new Promise((done) => resolve = done) };
}

function relaySide(sql: postgres.Sql): Side {
  const mail = createMailer(sql);
  return {
    name: "relay",
    enqueue: (number) => mail.send(smallRequest(`reader${number}@example.com`)),
    // It says in the database that it sleeps; the last mail is settled then.
    async idle() {
      const asleep = async () => {
        const [row] =
          await sql`select asleep and not exists (select from mailchute.queue) as idle from mailchute.relay`;
        return row?.idle === true;
      };
      while (!await asleep()) await Bun.sleep(2);
    },
  };
}

function graphileSide(sql: postgres.Sql): Side {
  return {
    name: "graphile-worker + nodemailer",
    enqueue: (number) =>
      sql.unsafe(ADD_JOB, [JSON.stringify(smallRequest(`reader${number}@example.com`))], { prepare: true }),
    async idle() {
      const busy = async () => (await sql`select from graphile_worker.jobs limit 1`).length > 0;
      while (await busy()) await Bun.sleep(2);
    },
  };
}
