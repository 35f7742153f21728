// What ends or prolongs leases: settle, release and renew, each of many messages in one statement. As in
// queue_statements.ts, $1 is the relay's id, and tests/queue/plan.test.ts asks EXPLAIN for the index that the comment
// names.

/**
 * Index: queue_pkey. The rows of the input ($2, by number) that still carry our id and the lease that we name, locked
 * in the order of their numbers: without that the planner chooses the order, and two statements on the same rows may
 * each wait for the other.
 */
const LOCKED = `
with input as materialized (
  select $2::text::jsonb as by_seq
), locked as materialized (
  select q.seq from mailchute.queue q
  where q.seq = any (array(select jsonb_object_keys(by_seq)::bigint from input)) and q.leased_by = $1::bigint
    and q.lease = ((select by_seq from input) -> q.seq::text ->> 'lease')::bigint
  order by q.seq
  for update
)`;

/** What the server said, and the states that follow, of the rows in `ours`. */
const WRITTEN = `), noted as (
  insert into mailchute.attempt (seq, number, position, outcome, phase, blame, code, enhanced, reply, route, relay)
  -- A relay that held it in between may have written an attempt of this number: then it is one more.
  select x.seq, coalesce((
      select (select max(n.number) from mailchute.attempt n where n.seq = x.seq) + 1 from mailchute.attempt a
      where a.seq = x.seq and a.number = x.number and a.position = x.position and a.relay <> $1::bigint), x.number),
    x.position, x.kind, x.phase, x.blame, x.code, x.enhanced, x.reply, x.route, $1::bigint
  from jsonb_to_recordset($3::text::jsonb) as x(seq bigint, number int, position smallint, kind text, phase text, blame text, code smallint,
    enhanced text, reply text, route text)
  where x.seq = any (array(select seq from ours))
  -- Unless it was written before, by a statement whose answer was lost. A scalar subquery, which the planner cannot
  -- turn into a join.
    and (select true from mailchute.attempt a where a.seq = x.seq and a.number = x.number
      and a.position = x.position and a.relay = $1::bigint and a.outcome = x.kind and a.reply = x.reply) is null
  returning 1
), moved as (
  update mailchute.recipient r
  set state = (select by_seq from input) -> r.seq::text -> 'recipients' -> r.position::text ->> 'state',
    reason = (select by_seq from input) -> r.seq::text -> 'recipients' -> r.position::text ->> 'reason', changed_at = now()
  where r.seq = any (array(select seq from ours)) and (select by_seq from input) -> r.seq::text -> 'recipients' ? r.position::text
  returning 1
)`;

/**
 * Index: the primary keys. What we say of a message and of its recipients is looked up by their numbers, and $3 has all
 * outcomes in one list: joined to rows, the planner takes the input for one row and compares all with all, and a set
 * for each message is a scan for each.
 */
export const SETTLE: string = settleOf();

/**
 * The same where some of the outcomes are bounces that RELAY_ON_BOUNCE counts ($4), by its rules ($5). Index: the
 * primary keys, bounce_address. What is on the list for good, or for longer, stays as it is (011_bounces.sql).
 */
export const SETTLE_BOUNCES: string = settleOf(
  `, rules as materialized (
  select (v.r ->> 'hardFor')::float8 as hard_for, (v.r ->> 'softFor')::float8 as soft_for, (v.r ->> 'after')::int as after,
    (v.r ->> 'within')::float8 as within
  from (select $5::text::jsonb as r) v
), failed as materialized (
  select x.seq, x.position, r.app, r.address, case when x.kind <> 'ended' then x.kind when e.kind = 'delayed' then 'soft' end as kind
  from jsonb_to_recordset($4::text::jsonb) as x(seq bigint, position smallint, kind text)
  cross join lateral (
    select m.app, lower(r.email) as address from mailchute.recipient r join mailchute.message m on m.seq = r.seq
    where r.seq = x.seq and r.position = x.position offset 0
  ) r
  left join lateral (select b.kind from mailchute.bounce b where b.seq = x.seq and b.position = x.position offset 0) e on true
  where x.seq = any (array(select seq from ours))
), counted as (
  insert into mailchute.bounce (seq, position, app, address, kind)
  select f.seq, f.position, f.app, f.address, f.kind from failed f where f.kind is not null order by f.seq, f.position
  on conflict (seq, position) do update set kind = excluded.kind, at = now()
  returning 1
), listed as materialized (
  select mailchute.list_bounced(jsonb_agg(jsonb_build_object('address', l.address, 'app', l.app, 'hard', l.is_hard,
    'seconds', (case when l.is_hard then l.hard_for else l.soft_for end) / 1000))) as done
  from (
    select f.address, f.app, f.is_hard, u.hard_for, u.soft_for
    from (
      select address, app, bool_or(kind = 'hard') as is_hard, count(*) filter (where kind = 'soft') as soft, array_agg(seq) as seqs
      from failed where kind in ('hard', 'soft') group by address, app
    ) f cross join rules u
    where f.is_hard or f.soft > 0 and f.soft + (
      select count(*) from mailchute.soft_bounces(f.address, f.app, u.within) b where b.seq <> all (f.seqs)) >= u.after
  ) l
)`,
  // A part that changes nothing by itself is executed only where it is read.
  "where exists (select from listed)",
);

/** `more`: further parts, which read `ours`; `reads`: and what reads them. */
function settleOf(more = "", reads = ""): string {
  return `${LOCKED}, ended as (
  delete from mailchute.queue q
  where q.seq = any (array(select l.seq from locked l where (select by_seq from input) -> l.seq::text -> 'ends' = 'true'))
  returning q.seq
), kept as (
  update mailchute.queue q
  set leased_by = null, intent = false, alone = false, unrecorded = false, attempts = ((select by_seq from input) -> q.seq::text ->> 'attempts')::int,
    crashes = coalesce(((select by_seq from input) -> q.seq::text ->> 'crashes')::smallint, 0),
    throttle = (select by_seq from input) -> q.seq::text ->> 'throttle',
    due = coalesce(now() + make_interval(secs => ((select by_seq from input) -> q.seq::text ->> 'delay')::float8 / 1000), 'infinity')
  where q.seq = any (array(select l.seq from locked l where (select by_seq from input) -> l.seq::text -> 'ends' = 'false'))
  returning q.seq
), ours as materialized (
  select seq from ended union all select seq from kept
${WRITTEN}${more}
select seq::text from ours ${reads}`;
}

/**
 * Index: as SETTLE. Writes what became of some recipients while the rest are being sent to: the row stays ours, as it
 * is. A holder that is lost then leaves only the rest behind.
 */
export const SETTLE_PART: string = `${LOCKED}, ours as materialized (
  select seq from locked
${WRITTEN}
select seq::text from ours`;

/**
 * Index: queue_pkey. Gives claims back as if they had not been: nothing of them was started. `delay`: how long their
 * route is expected to be out or full. `throttle`: what they wait for.
 */
export const RELEASE: string = `${LOCKED}
update mailchute.queue q
set leased_by = null, intent = false, alone = false, attempts = ((select by_seq from input) -> q.seq::text ->> 'attempt')::int - 1,
  crashes = coalesce(((select by_seq from input) -> q.seq::text ->> 'crashes')::smallint, q.crashes),
  throttle = (select by_seq from input) -> q.seq::text ->> 'throttle',
  due = now() + make_interval(secs => ((select by_seq from input) -> q.seq::text ->> 'delay')::float8 / 1000)
where q.seq = any (array(select seq from locked))
returning q.seq::text as seq`;

/** Index: queue_pkey. Prolongs leases; a row that is not answered is no longer ours. */
export const RENEW: string = `${LOCKED}
update mailchute.queue q set due = now() + make_interval(secs => $3::float8 / 1000)
where q.seq = any (array(select seq from locked))
returning q.seq::text as seq`;
