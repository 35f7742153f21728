import { readRelays } from "../explain/facts.ts";
import { readPauses } from "../limits/pause_table.ts";
import { PAUSE_OF_ALL } from "../limits/pause.ts";
import type { DatabaseUnderTest } from "./database.ts";
import { fail, type Finding, inDatabase, ok, span, warn } from "./finding.ts";

const MOST = 10_000;

/**
 * Index: queue_due, digest_item_pkey. Counts stop soon above MOST, so that a long queue costs no more. Items of a
 * digest are due at infinity too.
 */
export const WAITING: string = `
select (select count(*) from (${fromLanes("q.due <= now()", MOST + 1)} limit ${MOST + 1}) as d)::int as due,
  (select extract(epoch from now() - min(o.due))::float8 * 1000 from (${
  fromLanes("q.due <= now()", 1)
}) as o) as oldest_ms,
  (select count(*) from (${
  fromLanes(
    "q.due = 'infinity' and (select i.digest is null from mailchute.digest_item i where i.seq = q.seq) is not true",
    MOST + 1,
  )
} limit ${MOST + 1}) as h)::int as held`;

/** The rows of each lane that come first. */
function fromLanes(condition: string, limit: number): string {
  return `
    select x.due from (values (0::smallint), (1::smallint), (2::smallint)) as v(lane)
    cross join lateral (
      select q.due from mailchute.queue q where q.lane = v.lane and ${condition} order by q.due, q.seq limit ${limit}
    ) x`;
}

const WARN_MS = 60_000;
const FAIL_MS = 3_600_000;

/** Whether mail that is due goes out, apps may enqueue, and whether some waits for a person. */
export async function checkQueue({ sql, database }: DatabaseUnderTest): Promise<readonly Finding[]> {
  const [row] = await sql.unsafe(WAITING);
  const due = row?.due as number;
  const held = row?.held as number;
  const findings: Finding[] = [];
  if (due === 0) findings.push(ok("queue", "nothing is due"));
  else {
    const oldestMs = (row?.oldest_ms ?? 0) as number;
    const found = `${counted(due)} due, the oldest for ${span(oldestMs)}`;
    const fix =
      "see that a relay runs and what its log says: mailchute status (a limit may be reached, or mail be paused), and the routes below";
    // Relays keep the pauses of their home, and somebody wants it so.
    const isPaused = database.name === "home" && (await readPauses(sql))[0]?.key === PAUSE_OF_ALL;
    if (isPaused) {
      findings.push(
        warn("queue", `${found}, and all mail is paused`, "when it may go out: mailchute resume --all"),
      );
    } else if (oldestMs >= FAIL_MS) findings.push(fail("queue", found, fix));
    else if (oldestMs >= WARN_MS) findings.push(warn("queue", found, fix));
    else findings.push(ok("queue", found));
  }
  const on = inDatabase(database);
  if ((await readRelays(sql)).fullUntil !== undefined) {
    findings.push(fail(
      "queue",
      "it is full: what apps enqueue is refused as queue_full",
      `see what fills it (mailchute list --state queued${on}), and cancel that or raise RELAY_MAX_QUEUE`,
    ));
  }
  if (held > 0) {
    findings.push(warn(
      "queue",
      `${counted(held)} held: the server may have them already`,
      `decide: mailchute list --state held${on}, look into the server's log, then mailchute settle --sent ID${on} (it has it) or mailchute retry --accept-duplicate ID${on}`,
    ));
  }
  return findings;
}

function counted(count: number): string {
  if (count > MOST) return `more than ${MOST} messages are`;
  return count === 1 ? "1 message is" : `${count} messages are`;
}
