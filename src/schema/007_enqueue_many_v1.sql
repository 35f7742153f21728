-- Bulk sends: one content, many messages with a recipient and values each.

-- The {{names}} in a text. Blanks of ASCII only, as in src/template.ts: what else is one depends on the locale.
create function mailchute.template_names(value text) returns text[]
language sql immutable parallel safe
return array(select distinct m[1] from regexp_matches(value, '\{\{[\t-\r ]*([A-Za-z_][A-Za-z0-9_]*)[\t-\r ]*\}\}', 'g') as m order by 1);

-- Tells whether every {{ in a text begins a name: what is meant for another template language would go out as it is, to everybody.
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

-- Finds the batch of a request, or begins it: `mail` comes with the first request of a bulk send, and may be left out of the others.
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

-- How a batch knows who has a mail of it: the domain's case says nothing, the local part's might (src/address.ts). An address has one @ (is_address).
create function mailchute.batch_key(address text) returns text
language sql immutable parallel safe
return split_part(address, '@', 1) || '@' || lower(split_part(address, '@', 2) collate "C");

-- Tells of most recipients that they have no fault, in a fraction of the time of the checks that name it. Never true when those find one; false says
-- nothing. In the text of a jsonb value every control character but DEL stands behind a backslash.
create function mailchute.is_plain_recipient(item jsonb, names text[]) returns boolean
language sql immutable parallel safe
return coalesce(case when jsonb_typeof(item) = 'array' then octet_length(item::text) < 1000
  and strpos(item::text, '\') = 0 and strpos(item::text, E'\u007f') = 0
  and jsonb_array_length(item) = 4 and octet_length(item ->> 0) < 64
  and item ->> 0 ~ '^[A-Za-z0-9_]+([.+-][A-Za-z0-9_]+)*@([A-Za-z0-9]+(-+[A-Za-z0-9]+)*[.])+[A-Za-z]+$'
  and item ->> 1 is null and item ->> 2 is null and jsonb_typeof(item -> 3) = 'object' and (item -> 3) ?& names
  and not jsonb_path_exists(item -> 3, '$.* ? (@.type() != "string")') end, false);

-- The faults of the recipients of one request, as [{"index", "path", "message", "code"}, …].
create function mailchute.recipient_issues(recipients jsonb, batch mailchute.batch, first integer, allowed text[]) returns jsonb
language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('index', first + x.place - 1, 'path', 'recipients.' || (first + x.place - 1) || x.path, 'message', x.message,
    'code', x.code) order by x.place), '[]')
  from (
    select place, f.path, f.message, f.code
    from jsonb_array_elements(recipients) with ordinality as r(item, place)
    cross join lateral (
      -- null: the client has left it out.
      select '' as path, 'must be [email, name, key, variables]' as message, 'MC001' as code where jsonb_typeof(item) <> all (array['array', 'null'])
      union all
      select '.to', mailchute.address_problem(item ->> 0), 'MC001'
      where jsonb_typeof(item -> 0) is distinct from 'string' or not case
        when octet_length(item ->> 0) < 64 and item ->> 0 ~ '^[A-Za-z0-9_]+([.+-][A-Za-z0-9_]+)*@([A-Za-z0-9]+(-+[A-Za-z0-9]+)*[.])+[A-Za-z]+$' then true
        else mailchute.is_address(item ->> 0) end
      union all
      select '.to', 'has a name that is not at most 998 characters without control characters', 'MC001'
      where (item ->> 1) is not null and (jsonb_typeof(item -> 1) <> 'string' or not mailchute.is_line(item ->> 1) or mailchute.utf16_length(item ->> 1) > 998)
      union all
      select '.key', 'must have 1 to 256 bytes without control characters', 'MC001'
      where (item ->> 2) is not null and (jsonb_typeof(item -> 2) <> 'string' or not mailchute.is_line(item ->> 2) or octet_length(item ->> 2) not between 1 and 256)
      union all
      select '.variables', 'is not an object of strings', 'MC001'
      where (item ->> 3) is not null and (jsonb_typeof(item -> 3) <> 'object' or jsonb_path_exists(item -> 3, '$.* ? (@.type() != "string")'))
      union all
      select '.variables', 'has more than 65,536 bytes', 'MC001'
      -- The text is always longer, and cheaper to measure.
      where case when jsonb_typeof(item -> 3) = 'object' and octet_length(item ->> 3) > 65536
        then (select sum(octet_length(key) + octet_length(value)) from jsonb_each_text(item -> 3)) > 65536 end
      union all
      select '.variables.' || n.name, 'is missing', 'MC001'
      from unnest(batch.names) as n(name) where not coalesce(nullif(item -> 3, 'null') ? n.name, false)
      union all
      select '.variables.' || n.name, 'has a line break or a control character, and stands in a header', 'MC001'
      from unnest(batch.line_names) as n(name) where not mailchute.is_line(item -> 3 ->> n.name)
      union all
      select '.to', 'is not one of the app''s recipients', 'MC003'
      where allowed is not null and not mailchute.address_matches(item ->> 0, allowed)
    ) f
    where jsonb_typeof(item) <> 'null' and (allowed is not null or not mailchute.is_plain_recipient(item, batch.names))
  ) x
$$;

-- Puts a part of a bulk send into the queue, in the caller's transaction: `recipients` is a list of [email, name, key, {"variable": "value"}] or null, `first` the
-- place of its first in the whole list, `id` the same UUID for all parts of one call. Who is in the batch already (by the key, else by the address) gets
-- no second mail. `refused`: with `skip` those with a fault, as [{"index", "path", "message"}, …]; else the first fault is an error.
create function mailchute.enqueue_many_v1(request jsonb, out batch text, out created integer, out existing integer, out refused jsonb)
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
#variable_conflict use_column
declare
  app_name text;
  senders text[];
  allowed text[];
  the_batch mailchute.batch;
  given jsonb := coalesce(nullif(request -> 'recipients', 'null'), '[]');
  first integer;
  skip boolean := coalesce((request -> 'skip') = 'true', false);
  id_head text;
  -- What the messages share.
  from_email text;
  from_name text;
  reply_to jsonb;
  return_path text;
  unsubscribe text;
  tags text[];
  metadata jsonb;
  lane smallint;
  on_uncertain text;
  stream text;
  suppresses boolean;
  scheduled timestamptz;
  expires timestamptz;
  expires_after integer;
  queued integer;
  of_stream record;
begin
  if jsonb_typeof(request) is distinct from 'object' or coalesce(request ->> 'id', '') !~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' then
    perform mailchute.refuse('[{"path": "id", "message": "must be a UUID"}]');
  end if;
  if (request ->> 'batch') is not null and (jsonb_typeof(request -> 'batch') <> 'string' or not mailchute.is_line(request ->> 'batch')
    or octet_length(request ->> 'batch') not between 1 and 256) then
    perform mailchute.refuse('[{"path": "batch", "message": "must have 1 to 256 bytes without control characters"}]');
  end if;
  if jsonb_typeof(given) <> 'array' then
    perform mailchute.refuse('[{"path": "recipients", "message": "must be a list"}]');
  end if;
  if coalesce(request ->> 'first', '0') !~ '^[0-9]{1,9}$' then
    perform mailchute.refuse('[{"path": "first", "message": "must be a number from 0 to 999,999,999"}]');
  end if;
  first := coalesce((request ->> 'first')::integer, 0);
  id_head := left(replace(request ->> 'id', '-', ''), 24);

  select a.name, a.senders, a.recipients into app_name, senders, allowed
  from mailchute.app_role c join mailchute.app a on a.name = c.app where c.role = session_user;
  if app_name is null then
    app_name := mailchute.owner_app();
    senders := array['*'];
  end if;
  the_batch := mailchute.batch_of(request, app_name, senders);
  batch := coalesce(the_batch.name, the_batch.id::text);

  refused := mailchute.recipient_issues(given, the_batch, first, allowed);
  if refused <> '[]' and not skip then
    if refused -> 0 ->> 'code' = 'MC003' then
      raise exception 'App % may not send to %', app_name, given -> ((refused -> 0 ->> 'index')::integer - first) ->> 0 using errcode = 'MC003', detail = refused::text;
    end if;
    perform mailchute.refuse(jsonb_path_query_array(refused, '$[0 to 99]'));
  end if;

  if (the_batch.mail ->> 'scheduledAt') is not null then
    scheduled := mailchute.to_time(the_batch.mail ->> 'scheduledAt', 'scheduledAt');
  end if;
  if (the_batch.mail ->> 'expiresAt') is not null then
    expires := mailchute.to_time(the_batch.mail ->> 'expiresAt', 'expiresAt');
  end if;
  if expires <= greatest(scheduled, statement_timestamp()) then
    perform mailchute.refuse('[{"path": "expiresAt", "message": "is not after the time of sending"}]');
  end if;

  from_email := the_batch.mail -> 'from' ->> 'email';
  from_name := the_batch.mail -> 'from' ->> 'name';
  reply_to := coalesce(nullif(the_batch.mail -> 'replyTo', 'null'), '[]');
  return_path := the_batch.mail ->> 'returnPath';
  unsubscribe := the_batch.mail ->> 'unsubscribe';
  tags := array(select jsonb_array_elements_text(coalesce(nullif(the_batch.mail -> 'tags', 'null'), '[]')));
  metadata := coalesce(nullif(the_batch.mail -> 'metadata', 'null'), '{}');
  lane := case the_batch.mail ->> 'priority' when 'high' then 0 when 'normal' then 1 when 'low' then 2 end;
  on_uncertain := the_batch.mail ->> 'onUncertain';
  stream := the_batch.mail ->> 'stream';
  if stream is not null then
    select s.lane, s.expires_after, s.on_uncertain into of_stream from mailchute.stream_of(stream, app_name) s;
    if found then
      lane := coalesce(lane, of_stream.lane);
      on_uncertain := coalesce(on_uncertain, of_stream.on_uncertain);
      if expires is null then
        expires_after := of_stream.expires_after;
        expires := greatest(scheduled, statement_timestamp()) + make_interval(secs => expires_after);
      end if;
    end if;
  end if;
  lane := coalesce(lane, 2::smallint);
  -- Whatever its scope: to look for one of this app's would mean to read all that others have.
  suppresses := exists (select from mailchute.suppression);

  with asked as materialized (
    select r.item ->> 0 as email, nullif(r.item ->> 1, '') as name, coalesce(r.item ->> 2, mailchute.batch_key(r.item ->> 0)) as key, nullif(r.item -> 3, 'null') as variables,
      (id_head || lpad(to_hex(first + r.place - 1), 8, '0'))::uuid as id
    from jsonb_array_elements(given) with ordinality as r(item, place)
    where jsonb_typeof(r.item) <> 'null' and (refused = '[]' or first + r.place - 1 <> all (array(select (f ->> 'index')::integer from jsonb_array_elements(refused) as f)))
  ), stored as (
    insert into mailchute.message (id, app, content_id, batch, batch_key, variables, from_email, from_name, reply_to, return_path, unsubscribe, tags,
      metadata, lane, on_uncertain, stream, scheduled_at, expires_at, expires_after)
    select a.id, app_name, the_batch.content_id, the_batch.seq, a.key, coalesce(a.variables, '{}'), from_email, from_name, reply_to, return_path, unsubscribe,
      tags, metadata, lane, on_uncertain, stream, scheduled, expires, expires_after
    from asked a
    -- In one order, whoever asks: two that add the same people at once wait for each other, and never in a ring.
    order by a.key collate "C"
    on conflict (batch, batch_key) where batch is not null do nothing
    returning message.seq, message.id
  ), addressed as (
    insert into mailchute.recipient (seq, position, kind, email, name, state, reason)
    select s.seq, 0, 'to', a.email, a.name, case when a.why is null then 'queued' else 'suppressed' end, a.why
    from stored s join (
      select k.*, case when suppresses then (
        select 'On the suppression list: ' || p.reason from mailchute.listed_for(lower(k.email), app_name) p limit 1) end as why
      from asked k
    ) a on a.id = s.id
    returning recipient.seq, recipient.state
  ), waiting as (
    insert into mailchute.queue (seq, lane, due)
    select d.seq, lane, greatest(scheduled, statement_timestamp()) from addressed d where d.state = 'queued'
    returning 1
  )
  select (select count(*) from stored), (select count(*) from asked) - (select count(*) from stored), (select count(*) from waiting)
  into created, existing, queued;

  -- The same person twice in one call is hardly meant: whoever has two invoices gets two keys, and must not lose one in silence.
  if existing > 0 then
    refused := refused || mailchute.repeated_recipients(given, the_batch.seq, first, id_head, refused);
    existing := existing - (select count(*) from jsonb_array_elements(refused) as f where f ->> 'code' = 'twice');
    if not skip and exists (select from jsonb_array_elements(refused) as f where f ->> 'code' = 'twice') then
      perform mailchute.refuse(refused);
    end if;
  end if;
  refused := coalesce((select jsonb_agg(f - 'code') from jsonb_array_elements(refused) as f), '[]');
  if created > 0 and exists (select from mailchute.relay r where r.full_until > statement_timestamp()) then
    raise exception 'Cannot enqueue the mails: the queue is full' using errcode = 'MC005',
      hint = 'Try again later; RELAY_MAX_QUEUE, a setting of the relay, says how many messages may wait';
  end if;
  if queued > 0 then
    perform mailchute.ring_sleepers();
  end if;
end $$;

-- Those of a call that got no mail because another of the same call has the same key, but for those that were refused before.
create function mailchute.repeated_recipients(recipients jsonb, batch_seq bigint, first integer, id_head text, refused jsonb) returns jsonb
language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('index', first + r.place - 1, 'path', 'recipients.' || (first + r.place - 1) || '.to',
    'message', 'is there twice: give each of them a key of its own, or leave one out', 'code', 'twice') order by r.place), '[]')
  from jsonb_array_elements(recipients) with ordinality as r(item, place)
  cross join lateral (
    select replace(m.id::text, '-', '') as id from mailchute.message m
    where m.batch = batch_seq and m.batch_key = coalesce(r.item ->> 2, mailchute.batch_key(r.item ->> 0)) offset 0
  ) m
  where left(m.id, 24) = id_head and m.id <> id_head || lpad(to_hex(first + r.place - 1), 8, '0')
    and first + r.place - 1 <> all (array(select (f ->> 'index')::integer from jsonb_array_elements(refused) as f))
$$;
