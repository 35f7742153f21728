-- What the messages of a batch share and how it begins; what an app may ask about its batches, and do with many of its
-- messages at once.

-- The {{names}} in a text. Blanks of ASCII only, as in src/template.ts: what else is one depends on the locale.
create function mailchute.template_names(value text) returns text[]
language sql immutable parallel safe
return array(select distinct m[1] from regexp_matches(value, '\{\{[\t-\r ]*([A-Za-z_][A-Za-z0-9_]*)[\t-\r ]*\}\}', 'g') as m order by 1);

-- Tells whether every {{ in a text begins a name: what is meant for another template language would go out as it is, to
-- everybody.
create function mailchute.is_template(value text) returns boolean
language sql immutable parallel safe
return coalesce(strpos(value, '{{{') = 0 and strpos(regexp_replace(value, '\{\{[\t-\r ]*[A-Za-z_][A-Za-z0-9_]*[\t-\r ]*\}\}', '', 'g'), '{{') = 0, true);

-- The faults of what the messages of a batch share.
create function mailchute.batch_issues(mail jsonb, batch_id uuid) returns jsonb
language plpgsql stable as $$
declare
  issues jsonb := '[]';
  field text;
begin
  if jsonb_typeof(mail) is distinct from 'object' then
    return '[{"path": "mail", "message": "must be a JSON object"}]';
  end if;
  foreach field in array array['id', 'idempotencyKey', 'to', 'cc', 'bcc'] loop
    if mail ? field then
      issues := issues || jsonb_build_object('path', field, 'message', 'is not a field of a batch: each recipient gets a mail of their own');
    end if;
  end loop;
  if mail ? 'digest' then
    issues := issues || '{"path": "digest", "message": "is not a field of a batch: send each recipient an item"}';
  end if;
  if (mail -> 'overrideSuppression') = 'true' then
    issues := issues || '{"path": "overrideSuppression", "message": "is not for a batch: send each mail that must go by itself"}';
  end if;
  issues := issues || mailchute.request_issues(
    mail - array['idempotencyKey', 'cc', 'bcc', 'digest', 'template'] || jsonb_build_object('id', batch_id, 'to', '[{"email": "reader@example.com"}]'::jsonb), false);
  foreach field in array array['subject', 'text', 'html', 'unsubscribe', 'headers'] loop
    if not mailchute.is_template(mail ->> field) then
      issues := issues || jsonb_build_object('path', field, 'message', 'has {{ without a name like {{name}}');
    end if;
  end loop;
  if issues = '[]' and exists (select from jsonb_array_elements(coalesce(nullif(mail -> 'headers', 'null'), '[]')) as h
    where strpos(case lower(h ->> 0) when 'sender' then concat(h ->> 0, h ->> 1) else h ->> 0 end, '{{') > 0) then
    issues := '[{"path": "headers", "message": "have a {{name}} in the name of a header or in Sender, which are the same for all"}]';
  end if;
  return issues;
end $$;

-- Finds the batch of a request, or begins it: `mail` comes with the first request of a bulk send, and may be left out
-- of the others.
create function mailchute.batch_of(request jsonb, app_name text, senders text[]) returns mailchute.batch
language plpgsql as $$
declare
  found_batch mailchute.batch;
  batch_id uuid := (request ->> 'id')::uuid;
  batch_name text := request ->> 'batch';
  mail jsonb := request -> 'mail';
  -- Of what was asked, and not of what a template has made of it.
  mail_hash bytea := sha256(convert_to((request -> 'mail')::text, 'UTF8'));
  headers jsonb;
  new_content uuid := mailchute.new_id();
  issues jsonb;
begin
  if mail is null or mail = 'null' then
    select b.* into found_batch from mailchute.batch b
    where b.app = app_name and case when batch_name is null then b.id = batch_id else b.name = batch_name end
    for share;
    if not found then
      perform mailchute.refuse('[{"path": "mail", "message": "is missing, and no batch of this name or id has begun"}]');
    elsif not exists (select from mailchute.content c where c.id = found_batch.content_id) then
      -- Retention may have deleted it since the first request: what it has sent so far was sent long ago.
      perform mailchute.refuse('[{"path": "mail", "message": "is missing, and what the batch has to say is no longer stored"}]');
    end if;
    return found_batch;
  end if;

  if mail ? 'template' then
    mail := mailchute.batch_of_template(mail, app_name, batch_id, batch_name);
  end if;
  issues := mailchute.batch_issues(mail, batch_id);
  if issues <> '[]' then
    perform mailchute.refuse(issues);
  end if;
  perform mailchute.check_allowed(mail, app_name, senders, null);
  headers := coalesce(nullif(mail -> 'headers', 'null'), '[]');
  loop
    insert into mailchute.batch (id, app, name, content_id, mail, request_hash, names, line_names)
    values (batch_id, app_name, batch_name, new_content, mail - array['subject', 'text', 'html', 'headers', 'attachments'], mail_hash,
      mailchute.template_names(concat_ws(' ', mail ->> 'subject', mail ->> 'text', mail ->> 'html', mail ->> 'unsubscribe', headers::text)),
      mailchute.template_names(concat_ws(' ', mail ->> 'subject', mail ->> 'unsubscribe', headers::text)))
    on conflict do nothing
    returning * into found_batch;
    exit when found;
    select b.* into found_batch from mailchute.batch b
    where b.app = app_name and (b.id = batch_id or b.name = batch_name) order by b.name is not distinct from batch_name desc limit 1
    -- Against retention, which deletes what has no messages; where it was faster, the batch begins anew.
    for share;
    exit when found;
  end loop;
  if found_batch.request_hash <> mail_hash then
    raise exception 'Batch % was begun with another mail', coalesce(batch_name, batch_id::text) using errcode = 'MC004',
      hint = 'Use a new name for a new mail; the same name adds who is missing, with the same mail';
  end if;
  -- Anew too when retention has deleted it.
  insert into mailchute.content (id, subject, text, html, headers)
  values (found_batch.content_id, mail ->> 'subject', mail ->> 'text', mail ->> 'html', headers)
  on conflict do nothing;
  if found then
    perform mailchute.add_attachments(found_batch.content_id, mail -> 'attachments');
  end if;
  return found_batch;
end $$;

-- The caller's batch by its name, or by its id where it has none; null: there is none.
create function mailchute.find_batch(app_name text, batch_name text) returns bigint
language sql stable as $$
  select b.seq from mailchute.batch b where b.app = app_name and b.name = batch_name
  union all
  select b.seq from mailchute.batch b where b.app = app_name and b.name is null and b.id::text = lower(batch_name)
  limit 1
$$;

-- How far a batch is: {"batch", "createdAt", "total", "states": {"sent": 7, …}, "events": {"delivered": 5, …}}, of the
-- messages that retention has left; null if there is none.
create function mailchute.batch_status_v1(batch_name text) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
declare
  batch_seq bigint := mailchute.find_batch(mailchute.current_app(), batch_name);
begin
  return (
    select jsonb_build_object('batch', coalesce(b.name, b.id::text), 'createdAt', b.created_at, 'total', coalesce(sum(s.messages), 0),
      'states', coalesce(jsonb_object_agg(s.state, s.messages) filter (where s.state is not null), '{}'),
      'events', (
        select coalesce(jsonb_object_agg(e.kind, e.messages), '{}')
        from (
          select f.kind, count(*) as messages
          from mailchute.message m
          join mailchute.feedback f on f.seq = m.seq
          where m.batch = b.seq
          group by 1
        ) e))
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

-- Takes all messages of a batch ({"batch": "name"}) or with a tag ({"tag": "name"}) out of the queue that are not being
-- sent and not final. Answers how many.
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
      -- Those that somebody is at just now. They are waited for with the others in hand: a relay would send these
      -- meanwhile.
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

-- Pauses a batch that fails too often; for relays, whose role may pause nothing else. One that is paused stays as it
-- is.
create function mailchute.pause_batch(batch_id uuid, why text) returns void
language sql security definer set search_path = pg_catalog, mailchute, pg_temp as $$
  insert into mailchute.pause (key, reason) values ('batch=' || batch_id, why) on conflict (key) do nothing
$$;
