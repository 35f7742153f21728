import { readBounceRules } from "../config.ts";
import { DatabaseProblem } from "../database/database.ts";
import type { DeliveryReport } from "../mail/delivery_report.ts";
import { type Noted, noteFeedback } from "../mail/feedback_table.ts";
import { readReportMail } from "../mail/report_mail.ts";
import type { BounceRules } from "../suppression/bounces.ts";
import {
  type Command,
  type CommandContext,
  DATABASE_OPTION,
  EXIT,
  findDatabases,
  UsageError,
  withDatabase,
} from "./command.ts";

/** Reports have what machines read before the mail that comes back: what is behind this is not looked at. */
const MOST_BYTES = 10_000_000;

/**
 * `bounce`: takes in a report that came back as a mail. For the pipe of a mail server, which keeps a mail when this
 * ends with 75, and sends it back, or drops it, for every other code but 0: so every trouble of ours is a 75, a wrong
 * command line too.
 */
export const bounceCommand: Command = {
  name: "bounce",
  usage: "[--suppress] [--database NAME] < MAIL",
  summary:
    "take in a report that came back as a mail, from stdin: a bounce, a delay, a delivery, a complaint or a read receipt; --suppress also puts addresses on the list, as RELAY_ON_BOUNCE says. For the pipe of a mail server: exits with 75 when it is to be tried again, and else with 0",
  usageExit: EXIT.tryAgain,
  options: { suppress: { type: "boolean" }, ...DATABASE_OPTION },
  async run(context, words, options) {
    if (words.length > 0) throw new UsageError(`Unexpected argument '${words[0]}': the mail comes on stdin`);
    try {
      const rules = options.suppress === true ? rulesOf(context) : undefined;
      const name = typeof options.database === "string" ? options.database : undefined;
      await takeIn(context, await readReportMail(await readHead(context)), { name, rules });
      return EXIT.ok;
    } catch (error) {
      if (error instanceof UsageError) throw error;
      context.tell(`mailchute: ${error instanceof Error ? error.message : error}`);
      return EXIT.tryAgain;
    }
  },
};

function rulesOf({ env, readFile }: CommandContext): BounceRules {
  const rules = readBounceRules(env, readFile);
  if (rules !== undefined) return rules;
  throw new UsageError("--suppress does as RELAY_ON_BOUNCE says, which is not set here: set it as for the relay");
}

interface Where {
  /** Undefined: whichever has the mail. */
  readonly name: string | undefined;
  /** Undefined: nobody comes onto the suppression list. */
  readonly rules: BounceRules | undefined;
}

async function takeIn(
  context: CommandContext,
  report: DeliveryReport | undefined,
  { name, rules }: Where,
): Promise<void> {
  if (report === undefined) {
    return context.tell("Nothing was taken in: this is no report (RFC 3464, RFC 5965, RFC 8098), but another mail.");
  }
  if (report.ids.length === 0) return context.tell("Nothing was taken in: the report names no mail of mailchute.");
  if (report.reports.length === 0) return context.tell("Nothing was taken in: the report says nothing of a recipient.");
  const names = name === undefined ? findDatabases(context).map((database) => database.name) : [name];
  const away: DatabaseProblem[] = [];
  for (const database of names) {
    try {
      const noted = await withDatabase(context, { name: database }, (sql) => noteFeedback(sql, report, rules));
      if (noted !== undefined) return tell(context, report, noted);
    } catch (error) {
      if (!(error instanceof DatabaseProblem)) throw error;
      away.push(error);
    }
  }
  // The mail may be there.
  if (away[0] !== undefined) throw away[0];
  context.tell(
    `Nothing was taken in: no mail here is called ${report.ids.join(" or ")}; retention may have deleted it.`,
  );
}

function tell(context: CommandContext, { ids }: DeliveryReport, noted: readonly Noted[]): void {
  if (noted.length === 0) {
    return context.tell(`Nothing was taken in: the report is about nobody whom ${ids.join(" or ")} was sent to.`);
  }
  for (const { address, report: { kind, reply }, isNews, state } of noted) {
    context.print(`${ids[0]} ${address}: ${kind}${isNews ? "" : ", as was known"}, now ${state}: ${reply}`);
  }
}

/** All of it is taken from the pipe: who writes it would take a closed one for a failure. */
async function readHead(context: CommandContext): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of context.open("-")) {
    if (bytes < MOST_BYTES) pieces.push(piece);
    bytes += piece.byteLength;
  }
  return Buffer.concat(pieces);
}
