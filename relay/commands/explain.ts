import { readSettings, SettingsError } from "../config.ts";
import { placeOf } from "../database/database.ts";
import type { ExplainedRoute, Surroundings } from "../explain/explained_mail.ts";
import { explain, type Reason } from "../explain/explanation.ts";
import { type MailFacts, readMailFacts, readRelays, readThrottle } from "../explain/facts.ts";
import { readPauses } from "../limits/pause_table.ts";
import { lookAtPlace } from "../place/place_record.ts";
import { routesFor } from "../routes/routing.ts";
import { formatMoment } from "../time/moment.ts";
import {
  type Command,
  type CommandContext,
  DATABASE_OPTION,
  EXIT,
  inEachDatabase,
  JSON_OPTION,
  withDatabase,
} from "./command.ts";
import { idsOf } from "./messages.ts";
import { relayHere } from "./relay_here.ts";

/** Why one message is not going out, or how it ended. */
interface Explained {
  readonly id: string;
  readonly database: string;
  readonly state: string;
  readonly reasons: readonly Reason[];
}

/** `explain`: says in plain sentences why a message is not going out. */
export const explainCommand: Command = {
  name: "explain",
  usage: "ID… [--json] [--database NAME]",
  summary:
    "why a message is not going out, what keeps it back first, and what to do about it; looks into all databases unless one is named",
  options: { ...JSON_OPTION, ...DATABASE_OPTION },
  async run(context, words, options) {
    const ids = idsOf(words);
    const home = await readHome(context);
    const found: Explained[] = [];
    const unknown = new Map(ids.map((id) => [id, [] as string[]]));
    const { code } = await inEachDatabase(context, options.database, async (sql, database) => {
      const copy = await lookAtPlace(sql, placeOf(database));
      const copyOf = copy.difference === undefined ? undefined : copy.remembered?.addresses[0];
      for (const id of ids) {
        const facts = await readMailFacts(sql, id);
        if (facts.length === 0) unknown.get(id)?.push(await whyUnknown(sql, database.name));
        for (const each of facts) {
          const around = { ...await home.about(each), database: database.name, copyOf };
          found.push({ id, database: database.name, state: each.mail.state, reasons: explain(each.mail, around) });
        }
      }
    });
    return Math.max(code, answer(context, { found, unknown, asJson: options.json === true }));
  },
};

function answer(
  context: CommandContext,
  { found, unknown, asJson }: {
    readonly found: readonly Explained[];
    readonly unknown: ReadonlyMap<string, readonly string[]>;
    readonly asJson: boolean;
  },
): number {
  let code: number = EXIT.ok;
  if (asJson) context.print(JSON.stringify(found, null, 2));
  else for (const each of found) context.print(describe(each));
  for (const [id, places] of unknown) {
    if (found.some((each) => each.id === id)) continue;
    code = EXIT.failed;
    context.tell(`No message has the id ${id}. ${idAge(id)}${places.join("")}`);
  }
  return code;
}

function describe({ id, database, state, reasons }: Explained): string {
  return [
    `${id}  ${state}, database ${database}`,
    ...reasons.flatMap(({ text, fix }) => [`  ${text}`, ...(fix === undefined ? [] : [`    → ${fix}`])]),
  ].join("\n");
}

/** A UUIDv7 says when it was made. */
function idAge(id: string): string {
  const gone = "Its transaction was rolled back or has not committed yet, or retention has deleted it.";
  if (id[14] !== "7") return gone;
  const made = new Date(Number.parseInt(id.replace("-", "").slice(0, 12), 16));
  return `The id was made at ${formatMoment(made, new Date())}. ${gone}`;
}

async function whyUnknown(sql: Parameters<typeof readRelays>[0], database: string): Promise<string> {
  const { fullUntil } = await readRelays(sql);
  if (fullUntil === undefined) return "";
  return ` The queue of ${database} is full: what apps enqueue is refused as queue_full (RELAY_MAX_QUEUE).`;
}

/** What the home database, the settings and the relay on this machine know of any mail. */
async function readHome(
  context: CommandContext,
): Promise<{ about(facts: MailFacts): Promise<Omit<Surroundings, "database" | "copyOf">> }> {
  const pauses = await withDatabase(context, { name: undefined }, (sql) => readPauses(sql));
  const { routes = [] } = await relayHere(context);
  return {
    about: async ({ mail, from, now, relays }) => {
      const { throttle } = mail.row ?? {};
      const throttleFullAt = throttle === undefined
        ? undefined
        : await withDatabase(context, { name: undefined }, (sql) => readThrottle(sql, throttle));
      const its = routeNames(context, { from, stream: mail.stream, recipients: mail.recipients });
      const shown: readonly ExplainedRoute[] = routes.map(({ name, state, reason, outSince }) => ({
        ...{ name, state, reason },
        // From JSON: a text.
        since: outSince === undefined ? undefined : new Date(outSince),
      }));
      return {
        ...{ now, relays, pauses, throttleFullAt },
        routes: shown.filter(({ name }) => its === undefined || its.has(name)),
      };
    },
  };
}

/** The routes that a mail may take; undefined where the settings of the relay are not in this environment. */
function routeNames(
  context: CommandContext,
  { from, stream, recipients }: {
    readonly from: string;
    readonly stream: string | undefined;
    readonly recipients: readonly { readonly address: string }[];
  },
): ReadonlySet<string> | undefined {
  try {
    const { routing } = readSettings(context.env, context.readFile);
    return new Set(recipients.flatMap(({ address: to }) => routesFor(routing, { from, to, stream }) ?? []));
  } catch (error) {
    if (error instanceof SettingsError) return undefined;
    throw error;
  }
}
