import { join } from "node:path";
import postgres from "postgres";
import type { Benchmark, ByEffort } from "./benchmark.ts";
import { FROM, noise, SUBJECT, TEXT } from "./mail.ts";
import { measure } from "./measure.ts";
import { runProgram, runRelayOnce } from "./relay_process.ts";
import { startSink } from "./sink.ts";
import { checkAllSent, stockMails } from "./stock.ts";

const CONNECTIONS = 4;
/** Long enough to be looked at. */
const IDLE_MS = 200;
const MEBIBYTE = 1_048_576;

interface Size {
  readonly mails: number;
  readonly attachments: number;
  readonly attachmentBytes: number;
  readonly rounds: number;
}

const SIZES: ByEffort<Size> = {
  full: { mails: 50_000, attachments: 200, attachmentBytes: 10_000_000, rounds: 2 },
  quick: { mails: 5_000, attachments: 20, attachmentBytes: 2_000_000, rounds: 1 },
  tiny: { mails: 40, attachments: 3, attachmentBytes: 100_000, rounds: 1 },
};

/** What the relay's process needs at its peak. */
export const memory: Benchmark = {
  name: "memory",
  async run(lab, effort) {
    const { mails, attachments, attachmentBytes, rounds } = SIZES[effort];
    await using sink = await startSink(lab.sinkKind);
    const url = await lab.createDatabase();
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    const target = { url, smtpPort: sink.port, connections: CONNECTIONS };
    const drain = async () => {
      const { peakBytes } = await runRelayOnce(target, { stateDirectory: join(lab.directory, "memory") });
      await checkAllSent(sql);
      return peakBytes / MEBIBYTE;
    };
    try {
      const rows = await measure([
        {
          name: "Bun itself, a program that only waits",
          sample: async () => (await runProgram(["--eval", `await Bun.sleep(${IDLE_MS})`])).peakBytes / MEBIBYTE,
        },
        {
          name: "relay, 1 mail",
          async sample() {
            await stockMails(sql, 1);
            return await drain();
          },
        },
        {
          name: `relay, ${mails} mails`,
          async sample() {
            await stockMails(sql, mails);
            return await drain();
          },
        },
        {
          name: `relay, ${attachments} mails with ${attachmentBytes / 1e6} MB attached`,
          async sample() {
            await stockLarge(sql, { count: attachments, bytes: attachmentBytes });
            const peak = await drain();
            await forget(sql);
            return peak;
          },
        },
      ], { rounds, warmUps: 0, better: "less" });
      return {
        title: "Memory of the relay",
        method:
          `\`bun relay/main.ts run --once\` with ${CONNECTIONS} connections to ${sink.name}, from its start to its end; the largest resident set that the system saw; ${rounds} round(s).`,
        tables: [{ unit: "MiB at the peak", rows }],
      };
    } finally {
      await sql.end({ timeout: 1 });
    }
  },
};

const LARGE = `
select mailchute.send(jsonb_build_object('from', $1::text, 'to', 'reader@example.com', 'subject', $2::text, 'text', $3::text,
  'attachments', jsonb_build_array(jsonb_build_object('filename', 'film.bin', 'contentType', 'application/octet-stream', 'base64', $4::text))))`;

async function stockLarge(
  sql: postgres.Sql,
  options: { readonly count: number; readonly bytes: number },
): Promise<void> {
  const base64 = Buffer.from(noise(options.bytes)).toString("base64");
  // One statement each: a parameter cannot have more than 1 GB.
  for (let number = 0; number < options.count; number++) {
    await sql.unsafe(LARGE, [`${FROM.name} <${FROM.email}>`, SUBJECT, TEXT, base64]);
  }
}

/** The disk is not what is measured. */
async function forget(sql: postgres.Sql): Promise<void> {
  await sql.unsafe("truncate mailchute.attachment").simple();
}
