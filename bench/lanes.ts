import postgres, { type Sql } from "postgres";
import { createMailer } from "../src/client.ts";
import type { Benchmark, ByEffort } from "./benchmark.ts";
import { smallRequest } from "./mail.ts";
import { type Measured, quantile } from "./measure.ts";
import { openRelay } from "./relay_here.ts";
import { serveSink } from "./sink_server.ts";
import { stockRows } from "./stock_rows.ts";

const CONNECTIONS = 4;
/** Between two high mails, so that they do not travel together. */
const GAP_MS = 20;
/** When fewer low mails are left, they are filled up. */
const LEAST = 2_000;

const SIZES: ByEffort<{ readonly low: number; readonly samples: number }> = {
  full: { low: 50_000, samples: 400 },
  quick: { low: 10_000, samples: 60 },
  tiny: { low: 3_000, samples: 3 },
};

/** How long a high mail takes while low ones drain. */
export const lanes: Benchmark = {
  name: "lanes",
  async run(lab, effort) {
    const { low, samples } = SIZES[effort];
    const arrivals = new Map<string, () => void>();
    const sink = serveSink({ onMail: (command) => arrivals.get(/<(.*?)>/.exec(command)?.[1] ?? "")?.() });
    const url = await lab.createDatabase();
    const sql = postgres(url, { max: 2, onnotice: () => {} });
    try {
      await using relay = await openRelay({ url, smtpPort: sink.port, connections: CONNECTIONS });
      relay.start();
      const idle = await highMails(sql, { samples, arrivals, before: () => Promise.resolve() });
      const busy = await highMails(sql, { samples, arrivals, before: () => keepDraining(sql, low) });
      return {
        title: "A high mail while low ones drain",
        method:
          `${low} low mails wait in the queue, and are filled up when fewer than ${LEAST} are left; ${samples} mails of priority high come one after the other, ${GAP_MS} ms apart. The clock starts with the ` +
          "answer to the commit and stops when MAIL is at the server, a sink in this process: claimed, composed and on its way. Ranges are the least and the greatest of all samples.",
        tables: [{
          unit: "ms, commit → MAIL at the server",
          rows: [0.5, 0.99].flatMap((share) => [
            percentile(busy, { name: `while ${low} low mails drain`, share }),
            percentile(idle, { name: "with nothing else to do", share }),
          ]),
        }],
      };
    } finally {
      sink.stop();
      await sql.end({ timeout: 1 });
    }
  },
};

interface Sampling {
  readonly samples: number;
  /** Whom to tell that a mail is there, by its sender. */
  readonly arrivals: Map<string, () => void>;
  readonly before: () => Promise<unknown>;
}

async function highMails(sql: Sql, { samples, arrivals, before }: Sampling): Promise<readonly number[]> {
  const mail = createMailer(sql);
  const times: number[] = [];
  for (let number = 0; number < samples; number++) {
    await before();
    await Bun.sleep(GAP_MS);
    const from = `reset${number}@example.com`;
    const arrived = new Promise<number>((resolve) => arrivals.set(from, () => resolve(performance.now())));
    await mail.send({ ...smallRequest("ann@example.com"), from, priority: "high" });
    const committedMs = performance.now();
    // It may be there before the answer to its commit is read.
    times.push(Math.max(0, await arrived - committedMs));
  }
  return times;
}

async function keepDraining(sql: Sql, low: number): Promise<void> {
  const left = await sql`select from mailchute.queue where lane = 2 limit ${LEAST}`;
  if (left.length < LEAST) await stockRows(sql, { waiting: low, lane: 2 });
}

function percentile(
  values: readonly number[],
  { name, share }: { readonly name: string; readonly share: number },
): Measured {
  const sorted = values.toSorted((a, b) => a - b);
  return {
    name: `${name}, p${share * 100}`,
    median: quantile(sorted, share),
    low: quantile(sorted, 0),
    high: quantile(sorted, 1),
    ratios: [],
  };
}
