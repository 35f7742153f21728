import { normalizeAddress } from "../../src/address.ts";
import type { Statements } from "../database/statements.ts";
import { bounceOf } from "../smtp/bounce.ts";
import { type BounceRules, limitsInput } from "../suppression/bounces.ts";
import type { Report } from "./delivery_report.ts";

/** What has become of one report. */
export interface Noted {
  readonly address: string;
  readonly report: Report;
  /** False: it was on record already. */
  readonly isNews: boolean;
  /** Of the recipient now. */
  readonly state: string;
}

/** Index: message_id, recipient_pkey. An app that gives its mails ids of its own may have one that another has. */
const FIND = `
select m.seq::text as seq, r.position, r.email from mailchute.message m join mailchute.recipient r on r.seq = m.seq
where m.id = any (array(select value::uuid from jsonb_array_elements_text($1::text::jsonb))) order by m.seq, r.position`;

const NOTE = "select mailchute.note_feedback($1::bigint, $2::text::jsonb, $3::text::jsonb) as noted";

/**
 * Takes in what a report says of a mail of this database.
 *
 * @param ids by which the report names the mail
 * @param rules undefined: nobody comes onto the suppression list
 * @returns what was taken in, none when the report is about nobody whom the mail was sent to; undefined: there is no
 * such mail here
 */
export async function noteFeedback(
  sql: Statements,
  { ids, reports }: { readonly ids: readonly string[]; readonly reports: readonly Report[] },
  rules: BounceRules | undefined,
): Promise<readonly Noted[] | undefined> {
  const rows = await sql.unsafe(FIND, [JSON.stringify(ids)]);
  const noted: Noted[] = [];
  let isThere = false;
  for (const seq of new Set(rows.map((row) => row.seq as string))) {
    const recipients = rows.filter((row) => row.seq === seq).map(({ position, email }) => (
      { position: position as number, address: email as string }
    ));
    const found = reports.flatMap((report) =>
      meant(recipients, report).map(({ position, address }) => ({ position, address, report }))
    );
    if (found.length === 0) {
      isThere = true;
      continue;
    }
    const input = found.map(({ position, report }) => ({
      ...{ position, kind: report.kind, code: report.code ?? null, enhanced: report.enhanced ?? null },
      ...{ reply: report.reply, reporter: report.reporter ?? null, says: saysOf(report, rules) ?? null },
    }));
    const [row] = await sql.unsafe(NOTE, [seq, JSON.stringify(input), rules === undefined ? null : limitsInput(rules)]);
    // Null: retention has deleted it since.
    const answers = row?.noted as readonly Pick<Noted, "isNews" | "state">[] | null;
    if (answers === null) continue;
    isThere = true;
    for (const [index, { address, report }] of found.entries()) {
      const { isNews, state } = answers[index] as Noted;
      noted.push({ address, report, isNews, state });
    }
  }
  return isThere ? noted : undefined;
}

interface Recipient {
  readonly position: number;
  readonly address: string;
}

/**
 * Who alone was written to is meant by whatever address: the mail was passed on. Of others the server may have changed
 * the case.
 */
function meant(recipients: readonly Recipient[], { addresses }: Report): readonly Recipient[] {
  if (recipients.length === 1) return recipients;
  const named = new Set(addresses.map(comparable));
  return recipients.filter(({ address }) => named.has(comparable(address)));
}

function comparable(address: string): string {
  return normalizeAddress(address).toLowerCase();
}

/**
 * What a refusal says of the address, by the table that the dialogue goes by: a report of a server is as good as its
 * reply.
 */
function saysOf(report: Report, rules: BounceRules | undefined): string | undefined {
  if (report.kind !== "bounced") return undefined;
  const { code = 550, enhanced, reply } = report;
  const outcome = { position: 0, kind: "bounced", phase: "rcpt", blame: "recipient", reason: reply } as const;
  const says = bounceOf({ ...outcome, reply: { code, ...(enhanced === undefined ? {} : { enhanced }), text: reply } });
  return says === undefined || rules?.[says] === undefined ? undefined : says;
}
