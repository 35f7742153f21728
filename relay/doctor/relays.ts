import { isExpected, isHeard } from "../queue/relay_row.ts";
import type { DatabaseUnderTest } from "./database.ts";
import { type Finding, ok, span, warn } from "./finding.ts";

/** Reads the small table of relays; what they hold is counted over the queue, and only for those that are gone. */
const RELAYS = `
select r.host, r.pid, r.version, r.is_alive, extract(epoch from now() - r.heartbeat_at)::float8 * 1000 as silent_ms,
  case when r.is_alive then 0 else (select count(*)::int from mailchute.queue q where q.leased_by = r.id) end as held
from (
  select x.*, ${isHeard("x")} as is_alive
  from mailchute.relay x
  where ${isExpected("x")}
) r order by r.id desc limit 20`;

/** Who serves this database, and who has gone without a word. */
export async function checkRelays({ sql }: DatabaseUnderTest): Promise<readonly Finding[]> {
  const relays = await sql.unsafe(RELAYS) as unknown as readonly RelayRow[];
  const alive = relays.filter((relay) => relay.is_alive);
  const gone = relays.filter((relay) => !relay.is_alive).map(({ host, pid, silent_ms, held }) =>
    warn(
      "relays",
      `${host} (pid ${pid}) has been silent for ${span(silent_ms)}${held === 0 ? "" : ` and holds ${held} messages`}`,
      "start it again with the same RELAY_STATE_DIR, which takes back at once what it held; others take it over when its lease ends",
    )
  );
  if (alive.length === 0) return [warn("relays", "none serves this database now", "start one: mailchute run"), ...gone];
  const shown = alive.map(({ host, pid, version }) => `${host} (pid ${pid}, ${version})`).join(", ");
  return [ok("relays", `alive: ${shown}`), ...gone];
}

interface RelayRow {
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly is_alive: boolean;
  readonly silent_ms: number;
  readonly held: number;
}
