-- What an app may ask about its own mail. A foreign id answers as an unknown one.

-- The state that people see: `scheduled` and `sending` follow from the schedule and the lease.
create function mailchute.shown_state(state text, leased boolean, scheduled_at timestamptz, attempts integer) returns text
language sql stable
return case
  when state not in ('queued', 'deferred') then state
  when leased then 'sending'
  when state = 'queued' and attempts = 0 and scheduled_at > statement_timestamp() then 'scheduled'
  else state
end;

-- A message's state, derived from its recipients': the open ones first, then the worst final one.
create function mailchute.message_state(states text[]) returns text
language sql immutable
return (
  select s.state
  from unnest(array['sending', 'queued', 'deferred', 'scheduled', 'held',
    'failed', 'bounced', 'expired', 'canceled', 'suppressed', 'sent', 'digested']) with ordinality as s(state, rank)
  where s.state = any (states)
  order by s.rank
  limit 1
);

-- All about one message but its content and its digest, as JSON; null if there is none.
create function mailchute.describe_mail(message_seq bigint) returns jsonb
language sql stable as $$
  with message as (
    select m.*, q.due, q.leased_by is not null as leased, coalesce(q.attempts, 0) as attempts, q.seq is not null as open, q.throttle, q.crashes
    from mailchute.message m left join mailchute.queue q on q.seq = m.seq where m.seq = message_seq
  ), recipients as (
    select r.position, mailchute.shown_state(r.state, m.leased, m.scheduled_at, m.attempts) as state,
      jsonb_strip_nulls(jsonb_build_object('position', r.position, 'kind', r.kind, 'address', r.email,
        'state', mailchute.shown_state(r.state, m.leased, m.scheduled_at, m.attempts), 'at', r.changed_at,
        'code', case when f.seq is null then a.code else f.code end, 'enhanced', case when f.seq is null then a.enhanced else f.enhanced end,
        'reason', coalesce(
          -- All that are open wait for it, those too that have been tried before.
          case when m.throttle like 'paused:%' and r.state in ('queued', 'deferred') then 'Paused: ' || substr(m.throttle, 8)
            when m.throttle like 'relay:%' and r.state in ('queued', 'deferred') then 'Left to a relay: ' || substr(m.throttle, 7) end,
          r.reason, a.reply,
          case when r.state <> 'queued' then null
            when m.throttle is not null then 'Waits for its turn: the limit is ' || m.throttle
            when m.crashes >= 3 then 'Was in flight at ' || m.crashes || ' crashes of the relay in a row: it is tried alone' end))) as shown
    from message m join mailchute.recipient r on r.seq = m.seq
    left join lateral (select code, enhanced, reply, at from mailchute.attempt a
      where a.seq = r.seq and a.position = r.position order by a.number desc limit 1) a on true
    -- What came back after the server had taken it.
    left join mailchute.feedback f on f.seq = r.seq and f.position = r.position and f.kind = 'bounced' and r.state = 'bounced' and f.at >= a.at
  )
  select jsonb_strip_nulls(jsonb_build_object(
    'id', m.id, 'app', m.app,
    'state', (select mailchute.message_state(array_agg(r.state)) from recipients r),
    'createdAt', m.created_at, 'scheduledAt', m.scheduled_at, 'expiresAt', m.expires_at,
    'nextAttemptAt', case when m.open and not m.leased and m.throttle is null and isfinite(m.due) then m.due end,
    'stream', m.stream, 'overrideSuppression', m.overrides_suppression, 'batch', (select coalesce(b.name, b.id::text) from mailchute.batch b where b.seq = m.batch), 'tags', to_jsonb(m.tags), 'metadata', m.metadata,
    'recipients', (select jsonb_agg(r.shown order by r.position) from recipients r),
    'attempts', coalesce((select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('number', a.number, 'at', a.at, 'address', r.email,
        'outcome', a.outcome, 'phase', a.phase, 'blame', case when a.outcome <> 'sent' then a.blame end, 'code', a.code, 'enhanced', a.enhanced, 'reply', a.reply, 'route', a.route))
        order by a.number, a.position)
      from mailchute.attempt a join mailchute.recipient r on r.seq = a.seq and r.position = a.position where a.seq = m.seq), '[]'),
    'events', coalesce((select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('type', f.kind, 'at', f.at, 'address', r.email,
        'code', f.code, 'enhanced', f.enhanced, 'reply', f.reply, 'reporter', f.reporter)) order by f.at, f.position, f.kind)
      from mailchute.feedback f join mailchute.recipient r on r.seq = f.seq and r.position = f.position where f.seq = m.seq), '[]')))
  from message m
$$;

-- The caller's message by its id.
create function mailchute.status_v1(message_id uuid) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
declare
  caller_app text;
begin
  caller_app := mailchute.current_app();
  return (select mailchute.describe(m.seq) from mailchute.message m where m.id = message_id and m.app = caller_app);
end $$;

-- Takes a row out of the queue; false: it is claimed, or gone. Who has waited for a claim has a lock on the claimed row
-- then, and would keep it while the app's transaction is open: its relay could neither settle nor prolong that mail,
-- nor all those that it names with it. So the wait is undone.
create function mailchute.take_from_queue(message_seq bigint) returns boolean
language plpgsql as $$
begin
  delete from mailchute.queue where seq = message_seq and leased_by is null;
  if not found then
    raise exception 'Undoes this block' using errcode = 'MC000';
  end if;
  return true;
exception when sqlstate 'MC000' then
  return false;
end $$;

-- Ends a message that waits in the queue; false: it is claimed, or gone.
create function mailchute.cancel_waiting(message_seq bigint, why text) returns boolean
language plpgsql as $$
begin
  -- A claimed row stays: the relay that holds it decides what becomes of it.
  if not mailchute.take_from_queue(message_seq) then
    return false;
  end if;
  update mailchute.recipient set state = 'canceled', reason = why, changed_at = statement_timestamp()
  where seq = message_seq and state in ('queued', 'deferred', 'held');
  return true;
end $$;

-- Takes a message out of the queue. Answers `canceled`, `too_late` (being sent, or final) or `unknown`; a second cancel
-- is `canceled` too.
create function mailchute.cancel_message(message_seq bigint, why text) returns text
language plpgsql as $$
begin
  if mailchute.cancel_waiting(message_seq, why) then
    return 'canceled';
  end if;
  if exists (select from mailchute.recipient where seq = message_seq and state = 'canceled') then
    return 'canceled';
  end if;
  return 'too_late';
end $$;

create function mailchute.cancel_v1(message_id uuid) returns text
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
declare
  caller_app text;
  message_seq bigint;
begin
  caller_app := mailchute.current_app();
  select m.seq into message_seq from mailchute.message m where m.id = message_id and m.app = caller_app;
  if not found then
    return 'unknown';
  end if;
  return mailchute.cancel_message(message_seq, 'Canceled by the app');
end $$;

-- Moves a message that has not been tried to another time. Answers `rescheduled`, `too_late` or `unknown`.
create function mailchute.reschedule_v1(message_id uuid, at timestamptz) returns text
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
declare
  caller_app text;
  message_seq bigint;
  expires timestamptz;
begin
  if at is null or not isfinite(at) or at >= '10000-01-01T00:00:00Z' then
    perform mailchute.refuse('[{"path": "at", "message": "must be a time"}]');
  end if;
  caller_app := mailchute.current_app();
  -- What its stream has said counts from when it is due, and goes along; what the app has said stays.
  select m.seq, coalesce(greatest(at, statement_timestamp()) + make_interval(secs => m.expires_after), m.expires_at) into message_seq, expires
  from mailchute.message m where m.id = message_id and m.app = caller_app;
  if not found then
    return 'unknown';
  end if;
  if expires <= at then
    perform mailchute.refuse('[{"path": "at", "message": "is not before expiresAt"}]');
  end if;
  if (select i.digest is null from mailchute.digest_item i where i.seq = message_seq) then
    perform mailchute.refuse('[{"path": "at", "message": "is not for an item of a digest, whose window says when it is sent: cancel it, and send it anew"}]');
  end if;
  begin
    update mailchute.queue set due = greatest(at, statement_timestamp()), throttle = null
    where seq = message_seq and leased_by is null and attempts = 0
      -- Some recipients may have been tried while the route of the others was out, which gives the attempt back.
      and not exists (select from mailchute.attempt a where a.seq = message_seq);
    if not found then
      raise exception 'Undoes this block' using errcode = 'MC000';
    end if;
  exception when sqlstate 'MC000' then
    -- Undone as in take_from_queue.
    return 'too_late';
  end;
  -- Before the first attempt the mail's Date is still open: the later of enqueue and schedule.
  update mailchute.message set scheduled_at = at, expires_at = expires where seq = message_seq;
  perform mailchute.ring_sleepers();
  return 'rescheduled';
end $$;

-- Tries a message again that waits, is held, or ended without being sent; for people, not for apps. Answers `retried`,
-- `too_late` (being sent, or put into a digest meanwhile), `unknown`, `expired` (its expiresAt has passed), `sent`
-- (nobody is left to try) or `may_duplicate`: the server may have it already, and accept_duplicate was not given.
create function mailchute.retry_message(message_seq bigint, accept_duplicate boolean) returns text
language plpgsql as $$
declare
  expires timestamptz;
  priority smallint;
begin
  -- Of an item, its digest is tried again.
  message_seq := coalesce((select i.digest from mailchute.digest_item i where i.seq = message_seq), message_seq);
  -- Locks the row against a claim; without a row, a second retry waits at the insert below. First the row of the queue
  -- and then the message, as all who lock both.
  perform from mailchute.queue q where q.seq = message_seq and q.leased_by is null for update;
  if not found and exists (select from mailchute.queue q where q.seq = message_seq) then
    return 'too_late';
  end if;
  -- Locked against retention, which would delete it under the new queue row.
  select m.expires_at, m.lane into expires, priority from mailchute.message m where m.seq = message_seq for share;
  if not found then
    return 'unknown';
  end if;
  if expires <= statement_timestamp() then
    return 'expired';
  end if;
  -- Its window may have been closed while this waited for the lock: then it is in a digest, and its content is gone.
  if exists (select from mailchute.digest_item i where i.seq = message_seq and i.digest <> message_seq) then
    return 'too_late';
  end if;
  if not exists (select from mailchute.recipient r where r.seq = message_seq and r.state not in ('sent', 'suppressed')) then
    return 'sent';
  end if;
  if not accept_duplicate and exists (
    select from mailchute.recipient r join mailchute.attempt a on a.seq = r.seq and a.position = r.position
    where r.seq = message_seq and r.state not in ('sent', 'bounced', 'suppressed') and a.outcome = 'uncertain') then
    return 'may_duplicate';
  end if;
  -- Of a mail that had left the queue no lease is remembered, and none may come a second time: what its last holder
  -- says once more, or has in its journal, is of another claim.
  insert into mailchute.queue (seq, lane, due, lease, attempts, retried_at)
  values (message_seq, priority, statement_timestamp(), (extract(epoch from clock_timestamp()) * 1000000)::bigint,
    (select coalesce(max(a.number), 0) from mailchute.attempt a where a.seq = message_seq), statement_timestamp())
  -- A number that was given back for those who were not tried is taken by the others.
  on conflict (seq) do update
    set due = excluded.due, retried_at = excluded.retried_at, attempts = greatest(queue.attempts, excluded.attempts),
      throttle = null, crashes = 0
    where queue.leased_by is null;
  if not found then
    return 'too_late';
  end if;
  -- What has waited for a digest goes out on its own.
  delete from mailchute.digest_item i where i.seq = message_seq and coalesce(i.digest, 0) = 0;
  update mailchute.recipient set state = 'queued', reason = null, changed_at = statement_timestamp()
  where seq = message_seq and state not in ('sent', 'suppressed');
  perform pg_notify('mailchute', '');
  return 'retried';
end $$;

-- Ends what nobody knew the end of, when a person has found out that the server did take it: recipients who are held,
-- or whose last attempt was uncertain, become `sent`. Answers `settled`, `too_late` (being sent), `not_uncertain`
-- (there is no such recipient) or `unknown`. The attempts stay what they were; the reason says who has said so.
create function mailchute.settle_as_sent(message_seq bigint, why text) returns text
language plpgsql as $$
declare
  waits boolean;
begin
  -- Of an item, its digest is meant.
  message_seq := coalesce((select i.digest from mailchute.digest_item i where i.seq = message_seq), message_seq);
  -- Locked in the order of retry_message: against a claim, and then against a retry and retention.
  perform from mailchute.queue q where q.seq = message_seq and q.leased_by is null for update;
  waits := found;
  perform from mailchute.message m where m.seq = message_seq for no key update;
  if not found then
    return 'unknown';
  end if;
  -- It is claimed, or was brought back just now.
  if not waits and exists (select from mailchute.queue q where q.seq = message_seq) then
    return 'too_late';
  end if;
  update mailchute.recipient r
  set state = 'sent', reason = 'Settled as sent by ' || session_user || coalesce(': ' || why, ''), changed_at = statement_timestamp()
  where r.seq = message_seq and r.state <> 'sent' and (r.state = 'held' or 'uncertain' = (
    select a.outcome from mailchute.attempt a where a.seq = r.seq and a.position = r.position order by a.number desc limit 1));
  if not found then
    return 'not_uncertain';
  end if;
  -- Who else is open is waited for as before.
  delete from mailchute.queue q where q.seq = message_seq
    and not exists (select from mailchute.recipient r where r.seq = message_seq and r.state in ('queued', 'deferred', 'held'));
  return 'settled';
end $$;
