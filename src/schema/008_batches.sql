-- What an app may ask about its batches, and do with many of its messages at once.

-- The caller's batch by its name, or by its id where it has none; null: there is none.
create function mailchute.find_batch(app_name text, batch_name text) returns bigint
language sql stable as $$
  select b.seq from mailchute.batch b where b.app = app_name and b.name = batch_name
  union all
  select b.seq from mailchute.batch b where b.app = app_name and b.name is null and b.id::text = lower(batch_name)
  limit 1
$$;

-- How far a batch is: {"batch", "createdAt", "total", "states": {"sent": 7, …}}, of the messages that retention has left; null if there is none.
create function mailchute.batch_status_v1(batch_name text) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
declare
  batch_seq bigint := mailchute.find_batch(mailchute.current_app(), batch_name);
begin
  return (
    select jsonb_build_object('batch', coalesce(b.name, b.id::text), 'createdAt', b.created_at, 'total', coalesce(sum(s.messages), 0),
      'states', coalesce(jsonb_object_agg(s.state, s.messages) filter (where s.state is not null), '{}'))
    from mailchute.batch b
    left join lateral (
      -- One recipient each.
      select mailchute.shown_state(r.state, q.leased_by is not null, m.scheduled_at, coalesce(q.attempts, 0)) as state, count(*) as messages
      from mailchute.message m
      join mailchute.recipient r on r.seq = m.seq
      left join mailchute.queue q on q.seq = m.seq
      where m.batch = b.seq
      group by 1
    ) s on true
    where b.seq = batch_seq
    group by b.seq);
end $$;

-- Waits for who is at a message just now, and keeps no lock on it.
create function mailchute.await_message(message_seq bigint) returns void
language plpgsql as $$
begin
  perform from mailchute.queue where seq = message_seq and leased_by is null for update;
  raise exception 'Undoes this block' using errcode = 'MC000';
exception when sqlstate 'MC000' then
  return;
end $$;

-- Takes all messages of a batch ({"batch": "name"}) or with a tag ({"tag": "name"}) out of the queue that are not being sent and not final. Answers how many.
create function mailchute.cancel_many_v1(request jsonb) returns integer
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
declare
  caller_app text := mailchute.current_app();
  batch_seq bigint;
  wanted bigint[];
  straggler bigint;
  canceled integer;
begin
  if jsonb_typeof(request) is distinct from 'object' or request - array['batch', 'tag'] <> '{}'
    or coalesce(jsonb_typeof(request -> 'batch'), '') || coalesce(jsonb_typeof(request -> 'tag'), '') <> 'string' then
    perform mailchute.refuse($json$[{"path": "", "message": "must be {\"batch\": \"name\"} or {\"tag\": \"name\"}"}]$json$);
  end if;
  if request ? 'batch' then
    batch_seq := mailchute.find_batch(caller_app, request ->> 'batch');
  end if;
  wanted := array(
    select m.seq from mailchute.message m where m.batch = batch_seq
    union all
    -- Only the queue is walked: what is final cannot be taken back.
    select q.seq from mailchute.queue q where request ? 'tag'
      and (select m.app = caller_app and m.tags @> array[request ->> 'tag'] from mailchute.message m where m.seq = q.seq));
  loop
    begin
      with free as materialized (
        select q.seq from mailchute.queue q where q.seq = any (wanted) and q.leased_by is null order by q.seq for update skip locked
      ), ended as (
        delete from mailchute.queue q where q.seq = any (array(select f.seq from free f))
        returning q.seq
      ), moved as (
        update mailchute.recipient r set state = 'canceled', reason = 'Canceled by the app', changed_at = statement_timestamp()
        where r.seq = any (array(select e.seq from ended e)) and r.state in ('queued', 'deferred', 'held')
        returning 1
      )
      select count(*) into canceled from ended;
      -- Those that somebody is at just now. They are waited for with the others in hand: a relay would send these meanwhile.
      for straggler in select q.seq from mailchute.queue q where q.seq = any (wanted) and q.leased_by is null order by q.seq loop
        canceled := canceled + mailchute.cancel_waiting(straggler, 'Canceled by the app')::integer;
      end loop;
      -- The digests that items have become meanwhile have their tags.
      for straggler in
        select distinct i.digest from mailchute.digest_item i where request ? 'tag' and i.seq = any (wanted) and i.digest <> i.seq order by i.digest
      loop
        canceled := canceled + mailchute.cancel_waiting(straggler, 'Canceled by the app')::integer;
      end loop;
      return canceled;
    exception when deadlock_detected then
      -- Who has this one waits for another that was ours, as two do that take back the same: it is let go first.
      perform mailchute.await_message(straggler);
    end;
  end loop;
end $$;
