import { neon, neonConfig } from "@neondatabase/serverless";
import postgres from "postgres";
import { type Connection, createMailer, type Mailer } from "../mod.ts";
import { startNeonStandin } from "../tests/neon_standin.ts";
import type { Benchmark, ByEffort } from "./benchmark.ts";
import { FROM, noise } from "./mail.ts";
import { measure, type Measured } from "./measure.ts";
import { BARE_INSERT, makeBareTable } from "./peers/bare_insert.ts";

interface Size {
  readonly recipients: number;
  readonly attachmentBytes: number;
  readonly rounds: number;
}

const SIZES: ByEffort<Size> = {
  full: { recipients: 50_000, attachmentBytes: 1_000_000, rounds: 5 },
  quick: { recipients: 5_000, attachmentBytes: 100_000, rounds: 3 },
  tiny: { recipients: 20, attachmentBytes: 1_000, rounds: 1 },
};
const HTML_CHARS = 30_000;
const BARE = "bare inserts of the variables, sent all at once";

/** One mail to many. */
export const sendMany: Benchmark = {
  name: "send-many",
  async run(lab, effort) {
    const { recipients, attachmentBytes, rounds } = SIZES[effort];
    const url = await lab.createDatabase();
    const sql = postgres(url, { max: 1, onnotice: () => {} });
    const pool = postgres(url, { onnotice: () => {} });
    await using standin = await startNeonStandin(url);
    standin.configure(neonConfig);
    const send = (db: Connection, batch: string) => sendAll(createMailer(db, { from: FROM }), batch, SIZES[effort]);
    let round = 0;
    try {
      await makeBareTable(sql);
      const sent = await wireBytes(SIZES[effort]);
      const times = await measure([
        {
          name: "sendMany, postgres.js",
          against: [BARE],
          sample: () => seconds(() => send(pool, `postgres/${round++}`)),
        },
        {
          name: "sendMany, one connection of postgres.js",
          against: [BARE],
          sample: () => seconds(() => send(sql, `one/${round++}`)),
        },
        {
          name: "sendMany, Neon over HTTP",
          against: [BARE],
          sample: () => seconds(() => send(neon(url), `neon/${round++}`)),
        },
        { name: "sendMany again, nothing to add", sample: () => seconds(() => send(sql, "postgres/0")) },
        {
          name: BARE,
          sample: () =>
            seconds(() =>
              sql.begin((tx) =>
                Promise.all(
                  Array.from(
                    readers(recipients),
                    (reader) =>
                      tx.unsafe(BARE_INSERT, [crypto.randomUUID(), JSON.stringify(reader)], { prepare: true }),
                  ),
                )
              )
            ),
        },
      ], { rounds, warmUps: 0, better: "less" });
      return {
        title: "One mail to many",
        method: `\`sendMany\` to ${recipients} recipients, each with a name that stands in subject, text and HTML; ${
          HTML_CHARS / 1_000
        } kB of HTML and ${
          attachmentBytes / 1_000
        } kB attached, stored once. Commits with fsync included, ${rounds} rounds in turn. Over a pool (postgres.js as it comes) and Neon's HTTP two parts are under way at a time; the bare inserts have one connection. Neon over HTTP is the tests' stand-in for its proxy, before the same database.`,
        tables: [
          { unit: "s", rows: times },
          { unit: "MB sent beside the content", rows: [constant("sendMany", sent / 1e6)] },
        ],
      };
    } finally {
      await sql.end({ timeout: 1 });
      await pool.end({ timeout: 1 });
    }
  },
};

function* readers(count: number): Generator<{ readonly to: string; readonly variables: { readonly name: string } }> {
  for (let number = 0; number < count; number++) {
    yield { to: `reader${number}@example.com`, variables: { name: `Reader ${number}` } };
  }
}

async function sendAll(mail: Mailer, batch: string, { recipients, attachmentBytes }: Size): Promise<void> {
  const html = `<p>Dear {{name}}</p><p>${"news ".repeat(HTML_CHARS / 5)}</p>`;
  const attachments = [{ filename: "a.bin", content: noise(attachmentBytes) }];
  const template = { subject: "News for {{name}}", text: "Dear {{name}}", html, attachments };
  const { created, existing } = await mail.sendMany(template, readers(recipients), { batch });
  if (created + existing !== recipients) {
    throw new Error(`Cannot take the figure: ${created} of ${recipients} are there`);
  }
}

/** What is sent to the database, less the same to nobody but one. */
async function wireBytes(size: Size): Promise<number> {
  const bytesFor = async (recipients: number) => {
    let bytes = 0;
    const query = (_: string, [value = ""]: string[]) => {
      bytes += value.length;
      const created = value.split('["reader').length - 1;
      return Promise.resolve({ rows: [{ batch: "b", created, existing: 0, refused: "[]" }] });
    };
    await sendAll(createMailer({ query }, { from: FROM }), "b", { ...size, recipients });
    return bytes;
  };
  return await bytesFor(size.recipients) - await bytesFor(1);
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1_000;
}

function constant(name: string, value: number): Measured {
  return { name, median: value, low: value, high: value, ratios: [] };
}
