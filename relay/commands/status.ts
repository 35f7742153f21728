import { placeOf } from "../database/database.ts";
import { readRelays } from "../explain/facts.ts";
import { span } from "../doctor/finding.ts";
import type { RouteStatus } from "../http/status_source.ts";
import { readPauses } from "../limits/pause_table.ts";
import { lookAtPlace } from "../place/place_record.ts";
import { isExpected, isHeard } from "../queue/relay_row.ts";
import { describePauses } from "./batch_names.ts";
import { type Command, DATABASE_OPTION, inEachDatabase, JSON_OPTION, table } from "./command.ts";
import { relayHere } from "./relay_here.ts";

/** Reads the whole queue, and nothing of the history. */
const OPEN_BY_STATE = `
select mailchute.shown_state(r.state, q.leased_by is not null, m.scheduled_at, q.attempts) as state, count(distinct q.seq)::int as messages
from mailchute.queue q
join mailchute.message m on m.seq = q.seq
join mailchute.recipient r on r.seq = q.seq and r.state in ('queued', 'deferred', 'held')
group by 1 order by 1`;

const OLDEST_DUE =
  "select extract(epoch from now() - min(due))::float8 as seconds from mailchute.queue where due <= now()";

const RELAYS = `
select r.host, r.pid, r.version, r.started_at, r.heartbeat_at, ${isHeard("r")} as alive,
  extract(epoch from now() - r.heartbeat_at)::float8 as silent_seconds
from mailchute.relay r where ${isExpected("r")}
order by r.id desc limit 20`;

function describeRoute({ name, state, reason, connections }: RouteStatus): string {
  const words = { closed: "open for mail", open: "out", "half-open": "out, being probed" } as const;
  return `route ${name}: ${words[state]}${reason === undefined ? "" : ` (${reason})`}, ${connections} ${
    connections === 1 ? "connection" : "connections"
  }`;
}

/**
 * Nobody knows more than when it was seen: of one that was killed a moment ago too. In the future: it lets the database
 * sleep until then.
 */
function describeRelay({ alive, silentSeconds }: { readonly alive: boolean; readonly silentSeconds: number }): string {
  if (silentSeconds < 0) return "rests";
  return alive ? `seen ${span(silentSeconds * 1_000)} ago` : `gone, seen ${span(silentSeconds * 1_000)} ago`;
}

/** `status`: what waits, who works on it, and by which routes. */
export const statusCommand: Command = {
  name: "status",
  usage: "[--json] [--database NAME]",
  summary:
    "what waits in the queue, whether apps are refused or it is a copy, when the relays that serve it were last seen, and whether the routes of the relay here are out",
  options: { ...JSON_OPTION, ...DATABASE_OPTION },
  async run(context, _words, options) {
    const { results: reports, away, code } = await inEachDatabase(
      context,
      options.database,
      async (sql, connect) => {
        const { name, display } = connect;
        const { difference, remembered } = await lookAtPlace(sql, placeOf(connect));
        const { fullUntil } = await readRelays(sql);
        const open = await sql.unsafe(OPEN_BY_STATE);
        const [oldest] = await sql.unsafe(OLDEST_DUE);
        return {
          database: name,
          at: display,
          open: Object.fromEntries(open.map((row) => [row.state as string, row.messages as number])),
          oldestDueSeconds: (oldest?.seconds ?? undefined) as number | undefined,
          ...(difference === undefined ? {} : { copyOf: remembered?.addresses[0] }),
          isFull: fullUntil !== undefined,
          relays: (await sql.unsafe(RELAYS)).map((row) => ({
            ...{ host: row.host as string, pid: row.pid as number, version: row.version as string },
            ...{
              startedAt: row.started_at as Date,
              heartbeatAt: row.heartbeat_at as Date,
              alive: row.alive as boolean,
              silentSeconds: Math.round(row.silent_seconds as number),
            },
          })),
          // Relays keep the pauses of their home, in all databases.
          ...(name === "home" ? { pauses: await readPauses(sql) } : {}),
        };
      },
      // The routes of the relay here are known all the same.
      { goesOn: true },
    );
    const { routes, limits } = await relayHere(context);
    if (options.json) {
      context.print(JSON.stringify([...reports, ...away].map((report) => ({ ...report, routes, limits })), null, 2));
      return code;
    }
    const describe = await describePauses(context, reports.flatMap(({ pauses = [] }) => pauses));
    for (const { database, at, open, oldestDueSeconds, copyOf, isFull, relays, pauses = [] } of reports) {
      const states = Object.entries(open).map(([state, count]) => `${count} ${state}`).join(", ") || "nothing open";
      const age = oldestDueSeconds === undefined ? "" : `, the oldest due for ${Math.round(oldestDueSeconds)} s`;
      context.print(`${database} (${at}): ${states}${age}`);
      if (copyOf !== undefined) {
        context.print(
          `${database} is a copy, whose queue is drained at ${copyOf}: nothing is sent from it (mailchute adopt-copy)`,
        );
      }
      if (isFull) context.print(`${database} is full (RELAY_MAX_QUEUE): what apps enqueue is refused as queue_full`);
      const rows = relays.map(({ host, pid, version, heartbeatAt, ...relay }) => [
        describeRelay(relay),
        `${host} (pid ${pid})`,
        version,
        heartbeatAt.toISOString(),
      ]);
      context.print(
        rows.length === 0
          ? "no relay serves it, and none has gone without a word in the last day"
          : table([["relay", "host", "version", "last heartbeat"], ...rows]),
      );
      for (const pause of pauses) {
        const { since, by, reason } = pause;
        const because = reason === undefined ? "" : `: ${reason}`;
        context.print(`${describe(pause)} is paused since ${since.toISOString()} by ${by}${because}`);
      }
    }
    for (const route of routes ?? []) context.print(describeRoute(route));
    for (const { limit, until } of limits?.listed ?? []) {
      // From JSON: a text.
      context.print(`limit ${limit} is reached: the next mail at ${new Date(until).toISOString()}`);
    }
    const more = (limits?.reached ?? 0) - (limits?.listed.length ?? 0);
    if (more > 0) context.print(`and ${more} more limits`);
    return code;
  },
};
