import { LATE_MS } from "../drain/lane_floors.ts";
import { COUNTS } from "../suppression/rule.ts";
import { isServing } from "./relay_row.ts";

// What claims, and what looks into the queue; what ends and prolongs a claim is in lease_statements.ts. Text to paste
// into psql; the comment names the index that it must use, and tests/queue/plan.test.ts asks EXPLAIN for it.
//
// $1 is the relay's id, where there is one.

/**
 * Index: relay_pkey, only for what is taken over. Its holder died, or stands still: what stopped when it was asked to
 * has not crashed. What it had begun only its journal tells, which is lost: all that it held may have been in flight.
 */
const WAS_LOST = `(case when q.leased_by is null or q.leased_by = $1::bigint then false
      else (select r.stopped_at from mailchute.relay r where r.id = q.leased_by) is null end)`;

/** Index: suppression_pkey. Who came onto the list since the mail was enqueued. */
const SUPPRESSED: string = suppressed("m.overridden is null or not mailchute.is_overridable(s.reason)");

/**
 * Index: recipient_pkey, suppression_pkey. Of a mail that must go, and of no other: for what reasons its recipients are
 * on the list, by their positions.
 */
const OVERRIDDEN = `case when m.overrides_suppression then (
    select json_object_agg(x.position, x.reason) from (
      select r.position, ${
  suppressed("mailchute.is_overridable(s.reason)")
} as reason from mailchute.recipient r where r.seq = m.seq offset 0
    ) x where x.reason is not null) end`;

function suppressed(which: string): string {
  return `(
    select s.reason from mailchute.suppression s
    where s.address = lower(r.email) and ${COUNTS}
      and (${which})
    order by s.scope limit 1)`;
}

/** What a claim changes: it is an attempt until it is given back. */
const CLAIMED = `
    due = now() + make_interval(secs => $2::float8 / 1000), lease = q.lease + 1, leased_by = $1::bigint, attempts = q.attempts + 1,
    throttle = null, crashes = q.crashes + case when ${WAS_LOST} then 1 else 0 end, alone = q.alone and ${WAS_LOST},
    unrecorded = q.unrecorded or coalesce(q.leased_by <> $1::bigint, false)`;

/**
 * Index: queue_due, one range of it per lane. $5 names the lanes in order, each with the most to take of it and the row
 * behind which to begin, as [{"lane", "most", "due", "seq"}, …]; a range is not begun once the claim is full, so
 * nothing is locked that is not taken. `= any(array(…))` and not a join: under a generic plan the join becomes a hash
 * join over the whole queue. `offset 0` keeps the planner from turning the lookups by key into one. What comes back as
 * a time is text of JSON: any other form depends on DateStyle, and one with the abbreviation of a zone may be read as
 * another's.
 *
 * Its commit waits for the disk, though the answer costs one flush less without (synchronous_commit, 0.4 to 3 ms a
 * claim): a claim that a crash of Postgres undid would leave a mail due that is on the wire, and its outcome would be
 * refused as nobody's.
 */
export const CLAIM: string = claimOf(
  `
  select x.seq, x.leased_by, x.intent, x.throttle, x.lane, x.due
  from jsonb_array_elements($5::text::jsonb) as v(asked)
  cross join lateral (
    select q.seq, q.leased_by, q.intent, q.throttle, q.lane, q.due from mailchute.queue q
    where q.lane = (v.asked ->> 'lane')::smallint and (q.due, q.seq) > ((v.asked ->> 'due')::timestamptz, (v.asked ->> 'seq')::bigint)
      and q.due <= now() and (q.leased_by is null or q.leased_by = $1::bigint or $4::boolean)
    order by q.due, q.seq
    limit (v.asked ->> 'most')::int
    for update skip locked
  ) x
  limit $3::int`,
  {
    floor: `case when p.seq = any (array(select distinct on (lane) seq from pick order by lane, due desc, seq desc))
      then to_json(least(p.due, now() - interval '${LATE_MS} milliseconds')) #>> '{}' end`,
  },
);

/**
 * Index: queue_due, its first entry per lane. One mail to try a route with that was out: the one that has been due
 * longest, in whichever lane, so that no mail is the probe for ever.
 */
export const CLAIM_PROBE: string = claimOf(`
  select x.seq, x.leased_by, x.intent, x.throttle, v.lane
  from (values (0::smallint), (1::smallint), (2::smallint)) as v(lane)
  cross join lateral (
    select q.seq, q.leased_by, q.intent, q.throttle, q.due from mailchute.queue q
    where q.lane = v.lane and q.due <= now() and (q.leased_by is null or q.leased_by = $1::bigint or $4::boolean)
    order by q.due, q.seq
    limit 1
    for update skip locked
  ) x
  order by x.due
  limit $3::int`);

/**
 * Index: queue_throttle, one range of it per throttle. Mail that waits for them: $3 says how much of each, as {"key":
 * number}.
 */
export const CLAIM_WAITING: string = claimOf(`
  select x.seq, x.leased_by, x.intent, x.throttle, x.lane
  from jsonb_each_text($3::text::jsonb) as k(throttle, most)
  cross join lateral (
    select q.seq, q.leased_by, q.intent, q.throttle, q.lane from mailchute.queue q
    where q.throttle = k.throttle
    order by q.lane, q.seq
    limit k.most::int
    for update skip locked
  ) x`);

/** Index: queue_throttle, entered once for each throttle that mail waits for, at most $1 of them behind $2. */
export const THROTTLES = `
with recursive waited as (
  (select q.throttle from mailchute.queue q where q.throttle > $2::text order by q.throttle limit 1)
  union all
  select (select q.throttle from mailchute.queue q where q.throttle > w.throttle order by q.throttle limit 1)
  from waited w where w.throttle is not null
)
select throttle from waited where throttle is not null limit $1::int`;

/**
 * Index: queue_throttle, one range of it per throttle; queue_pkey. Makes due what waits for throttles that are no more,
 * at most so many at a time, in order.
 */
export const UNTHROTTLE = `
with due as (
  update mailchute.queue q set throttle = null, due = now()
  where q.seq = any (array(
    select x.seq from jsonb_array_elements_text($1::text::jsonb) as k(throttle)
    cross join lateral (
      select w.seq from mailchute.queue w where w.throttle = k.throttle order by w.lane, w.seq limit $2::int for update skip locked
    ) x
    limit $2::int))
  returning 1
)
select count(*)::int as messages from due`;

/** Index: queue_pkey. Says of a message that must not be sent twice that its final dot may be written from now on. */
export const INTEND = `
update mailchute.queue q set intent = true where q.seq = $2::bigint and q.lease = $3::bigint and q.leased_by = $1::bigint
returning q.seq::text as seq`;

/** Index: queue_pkey. Says whether nothing else is in flight while this message is. */
export const SET_ALONE = `
update mailchute.queue q set alone = $4::boolean where q.seq = $2::bigint and q.lease = $3::bigint and q.leased_by = $1::bigint
returning q.seq::text as seq`;

/**
 * Takes over what the dead predecessors of this relay (same state directory) still held, lease and attempt as they are:
 * by these the journal knows them. Runs once, before anything is claimed; $4: and what it has taken over itself, when
 * that was not the first time.
 */
export const ADOPT: string = claimOf(
  `
  select q.seq, q.leased_by, q.intent, q.throttle, q.lane from mailchute.queue q
  where q.leased_by in (select r.id from mailchute.relay r where r.instance = $3::uuid and (r.id <> $1::bigint or $4::boolean))
  order by q.seq
  for update`,
  { change: "due = now() + make_interval(secs => $2::float8 / 1000), leased_by = $1::bigint" },
);

/**
 * Index: queue_due, its first entry per lane, of those that fall due from $1 milliseconds ago to $2 milliseconds from
 * now; digest_item_look, for the window that may end first, told a little late: a look that comes a moment too early
 * finds nothing, and the next one is later. Held rows are due at infinity.
 */
export const NEXT_DUE = `
select extract(epoch from min(x.due) - now()) * 1000 as wait_ms, extract(epoch from min(x.due) filter (where x.is_digest) - now()) * 1000 as digest_ms
from (
  select l.due, false as is_digest
  from (values (0::smallint), (1::smallint), (2::smallint)) as v(lane)
  cross join lateral (
    select q.due from mailchute.queue q where q.lane = v.lane and q.due > coalesce(now() - make_interval(secs => $1::float8 / 1000), '-infinity')
      and q.due < coalesce(now() + make_interval(secs => $2::float8 / 1000), 'infinity')
    order by q.due, q.seq limit 1
  ) l
  union all
  (select i.look_at + interval '10 milliseconds', true from mailchute.digest_item i
  where i.look_at < coalesce(now() + make_interval(secs => $2::float8 / 1000), 'infinity')
  order by i.look_at limit 1)
) x`;

/**
 * Leases of relays that stopped or whose heart has not beaten for a minute. Reads the whole queue: only `run --once`
 * asks, at its end.
 */
export const DEAD_LEASES: string = `
select extract(epoch from min(q.due) - now()) * 1000 as wait_ms
from mailchute.queue q join mailchute.relay r on r.id = q.leased_by
where r.id <> $1::bigint and not ${isServing("r")}`;

/**
 * What waits though it was due: also what was given back for a route that was out, for a limit or for a pause. Counted
 * for the last words of `run --once`.
 */
export const REMAINING = `
select count(*) filter (where leased_by is null and (due <= now() or throttle is not null
    or seq = any (array(select value::bigint from jsonb_array_elements_text($1::text::jsonb)))))::int as waiting,
  count(*) filter (where leased_by is null and throttle like 'paused:%')::int as paused,
  count(*) filter (where leased_by is not null)::int as leased
from mailchute.queue where due < 'infinity'`;

/**
 * A claim of what `pick` selects. A column that is null costs next to nothing: what most mails have in common is.
 * `floor`: of the last row of each lane, when it was due.
 */
function claimOf(pick: string, options: { readonly change?: string; readonly floor?: string } = {}): string {
  const { change = CLAIMED, floor = "null" } = options;
  return `
with pick as materialized (${pick}
), claimed as (
  update mailchute.queue q
  set ${change}
  where q.seq = any (array(select seq from pick))
  returning q.seq, q.lease, q.attempts, q.retried_at, q.crashes, q.alone, q.unrecorded
)
select c.seq::text, c.lease::text, p.lane, c.attempts, date_part('epoch', c.retried_at) * 1000 as retried_at_ms,
  case when p.leased_by is not null or p.intent or c.crashes > 0 or c.alone or c.unrecorded then json_build_object('takenOver', p.leased_by is not null,
    'wasOurs', coalesce(p.leased_by = $1::bigint, false), 'unrecorded', c.unrecorded, 'intended', p.intent, 'crashes', c.crashes, 'wasAlone', c.alone) end as past,
  m.id, m.app, m.content_id, m.from_email, m.from_name, nullif(m.reply_to, '[]') as reply_to, m.return_path, m.unsubscribe, m.on_uncertain, m.stream, m.variables,
  m.overridden, m.backoff, m.batch, m.first_due_ms, m.expires_at_ms, r.recipients,
  date_part('epoch', now()) * 1000 as now_ms, p.throttle, ${floor} as floor
from claimed c
join pick p on p.seq = c.seq
cross join lateral (
  select m.id, m.app, m.content_id, m.from_email, m.from_name, m.reply_to, m.return_path, m.unsubscribe, m.on_uncertain, m.stream, m.variables, ${OVERRIDDEN} as overridden,
    -- Index: stream_pkey. Null where the mail has no stream, or that no waits of its own.
    (select to_json(s.backoff) from mailchute.stream s where s.name = m.stream and s.scope in ('all', 'app:' || m.app)
      order by s.scope desc limit 1) as backoff,
    (select b.id from mailchute.batch b where b.seq = m.batch) as batch,
    date_part('epoch', greatest(m.created_at, m.scheduled_at)) * 1000 as first_due_ms, date_part('epoch', m.expires_at) * 1000 as expires_at_ms
  from mailchute.message m where m.seq = c.seq offset 0
) m
cross join lateral (
  select json_agg(json_build_object('position', r.position, 'kind', r.kind, 'email', r.email, 'name', r.name,
    'open', r.state in ('queued', 'deferred'), 'held', r.state = 'held', 'suppressed', ${SUPPRESSED}) order by r.position) as recipients
  from mailchute.recipient r where r.seq = c.seq offset 0
) r
order by p.lane, c.seq`;
}
