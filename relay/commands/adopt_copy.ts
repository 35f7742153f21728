import type { Sql } from "postgres";
import { placeOf } from "../database/database.ts";
import { lookAtPlace, moveHere } from "../place/place_record.ts";
import { isServing } from "../queue/relay_row.ts";
import { type Command, DATABASE_OPTION, EXIT, UsageError, withDatabase } from "./command.ts";
import { withProgress } from "./progress.ts";

/** Relays that served it just now. Those that a physical copy brought along have not been heard of since. */
const SERVING = `select r.host, r.pid from mailchute.relay r where ${isServing("r")} order by r.id desc limit 1`;

const COUNT = "select count(*)::int as messages from mailchute.queue";

/** Index: queue_pkey, recipient_pkey. Held or claimed by whomever: that was elsewhere. */
const CANCEL_SOME = `
with gone as (
  delete from mailchute.queue where seq = any (array(select q.seq from mailchute.queue q order by q.seq limit 5000)) returning seq
), canceled as (
  update mailchute.recipient r set state = 'canceled', reason = $1, changed_at = now()
  where r.seq = any (array(select seq from gone)) and r.state in ('queued', 'deferred', 'held') returning 1
)
select (select count(*)::int from gone) as messages`;

/** Its list and the copies of it elsewhere have parted: relays compare them as a whole. */
const PART = "update mailchute.suppression_home set epoch = gen_random_uuid()";

/** `adopt-copy`: decides what becomes of the mails in a copy of a database. */
export const adoptCopyCommand: Command = {
  name: "adopt-copy",
  usage: "--keep | --discard [--dry-run | --yes] [--database NAME]",
  summary:
    "of a copied database, from which nothing is sent: --keep sends its mails from here on (it has moved), --discard cancels them: it counts them first, and needs --yes",
  options: {
    keep: { type: "boolean" },
    discard: { type: "boolean" },
    "dry-run": { type: "boolean" },
    yes: { type: "boolean" },
    ...DATABASE_OPTION,
  },
  async run(context, words, options) {
    const isKept = options.keep === true;
    if (words.length > 0) throw new UsageError(`Unexpected argument '${words[0]}'`);
    if (isKept === (options.discard === true)) {
      throw new UsageError("adopt-copy takes one of --keep (send its mails from here on) and --discard (cancel them)");
    }
    const isTrial = options["dry-run"] === true;
    const isSure = options.yes === true;
    if (isKept && (isTrial || isSure)) throw new UsageError("--dry-run and --yes are for --discard");
    if (isTrial && isSure) throw new UsageError("adopt-copy --discard takes one of --dry-run and --yes");
    return await withDatabase(context, { name: options.database }, async (sql, database) => {
      const { display } = database;
      const look = await lookAtPlace(sql, placeOf(database));
      if (look.difference === undefined) {
        context.tell(`${display} is no copy: nothing was changed`);
        return isKept ? EXIT.ok : EXIT.failed;
      }
      const original = look.remembered?.addresses[0];
      const adopt = async () => {
        await sql.unsafe(PART);
        await moveHere(sql, look);
      };
      if (isKept) {
        await adopt();
        context.tell(
          `${display} is adopted: its mails are sent from here. See to it that no relay serves ${original} any more`,
        );
        return EXIT.ok;
      }
      const [serving] = await sql.unsafe(SERVING);
      if (serving !== undefined) {
        context.tell(
          `Cannot discard the mails of ${display}: ${serving.host} (pid ${serving.pid}) has served it within the last minute; ` +
            "if this is a copy that was made just now, try again in a minute",
        );
        return EXIT.failed;
      }
      if (!isSure) {
        const [row] = await sql.unsafe(COUNT);
        context.tell(
          `Nothing was canceled: ${row?.messages} messages of ${display} would be, with --yes. If it has taken the place of ${original}, it is --keep that you want`,
        );
        return isTrial ? EXIT.ok : EXIT.failed;
      }
      let messages = 0;
      await withProgress(
        context,
        () => `canceled so far: ${messages} messages`,
        () =>
          cancelAll(sql, {
            reason: `Canceled in a copy of ${original}, where it is sent from`,
            onSome: (some) => messages += some,
          }),
      );
      await adopt();
      context.tell(`${display} is adopted: ${messages} ${messages === 1 ? "mail" : "mails"} canceled`);
      return EXIT.ok;
    });
  },
};

async function cancelAll(
  sql: Sql,
  { reason, onSome }: { readonly reason: string; readonly onSome: (messages: number) => void },
): Promise<void> {
  for (;;) {
    const [row] = await sql.unsafe(CANCEL_SOME, [reason]);
    const some = row?.messages as number;
    if (some === 0) return;
    onSome(some);
  }
}
