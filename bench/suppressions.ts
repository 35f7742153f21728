import postgres from "postgres";
import { createMailer } from "../src/client.ts";
import type { Benchmark, ByEffort } from "./benchmark.ts";
import { FROM, SUBJECT, TEXT } from "./mail.ts";
import { type Contender, measure, millisecondsOf } from "./measure.ts";
import { SEND_MANY } from "./stock.ts";

interface Size {
  readonly addresses: number;
  readonly recipients: number;
  /** Mails with a content of their own. */
  readonly singles: number;
  readonly rounds: number;
}

const SIZES: ByEffort<Size> = {
  full: { addresses: 1_000_000, recipients: 50_000, singles: 5_000, rounds: 7 },
  quick: { addresses: 200_000, recipients: 5_000, singles: 1_000, rounds: 5 },
  tiny: { addresses: 500, recipients: 20, singles: 20, rounds: 1 },
};

const NONE = "an empty suppression list";

/** Enqueue beside a long suppression list. */
export const suppressions: Benchmark = {
  name: "suppressions",
  async run(lab, effort) {
    const { addresses, recipients, singles, rounds } = SIZES[effort];
    const sides: { readonly name: string; readonly sql: postgres.Sql }[] = [];
    try {
      for (const count of [addresses, 0]) {
        const sql = postgres(await lab.createDatabase(), { max: 1, onnotice: () => {} });
        sides.push({ name: count === 0 ? NONE : `${count} addresses on the suppression list`, sql });
        await fill(sql, count);
      }
      const contenders = (sample: (sql: postgres.Sql) => Promise<number>): readonly Contender[] =>
        sides.map(({ name, sql }) => ({ name, against: name === NONE ? [] : [NONE], sample: () => sample(sql) }));
      const options = { rounds, better: "less" } as const;
      let round = 0;
      return {
        title: "Enqueue beside a suppression list",
        method:
          `One database has ${addresses} suppressed addresses, half of them for all apps and half for this one, the other none; none of the recipients is among them, so that both store the ` +
          `same. \`sendMany\` to ${recipients} recipients, committed in parts, and ${singles} mails with contents of their own by \`mailchute.send\`, in one transaction; commits with fsync included, one ` +
          `connection, ${rounds} rounds in turn.`,
        tables: [
          {
            unit: `s, sendMany to ${recipients}`,
            rows: await measure(contenders((sql) => sendAll(sql, recipients, `batch/${round++}`)), options),
          },
          {
            unit: `s, ${singles} single mails`,
            rows: await measure(contenders((sql) => sendEach(sql, singles)), options),
          },
        ],
      };
    } finally {
      for (const { sql } of sides) await sql.end({ timeout: 1 });
    }
  },
};

/** Addresses like those of the recipients, and spread as names are. */
async function fill(sql: postgres.Sql, count: number): Promise<void> {
  await sql`
    insert into mailchute.suppression (address, scope, reason)
    select left(md5(i::text), 12) || '@example.com', case i % 2 when 0 then 'all' else 'app:' || session_user end, 'unsubscribe'
    from generate_series(1, ${count}::bigint) i on conflict do nothing`;
  await sql.unsafe("vacuum analyze").simple();
}

async function sendAll(sql: postgres.Sql, count: number, batch: string): Promise<number> {
  const mail = createMailer(sql, { from: FROM });
  const recipients = Array.from({ length: count }, (_, number) => ({ to: `reader${number}@example.com` }));
  const elapsedMs = await millisecondsOf(() => mail.sendMany({ subject: SUBJECT, text: TEXT }, recipients, { batch }));
  const { queued } = (await mail.get({ batch }))?.states ?? {};
  if (queued !== count) throw new Error(`Cannot take the figure: ${queued} of ${count} are queued`);
  return elapsedMs / 1_000;
}

async function sendEach(sql: postgres.Sql, count: number): Promise<number> {
  const from = `${FROM.name} <${FROM.email}>`;
  return await millisecondsOf(() => sql.unsafe(SEND_MANY, [count, from, SUBJECT, TEXT], { prepare: true })) / 1_000;
}
