-- Bulk sends: one content, many messages with a recipient and values each. How a batch begins, and what it may say, is
-- in 008_batches.sql.

-- How a batch knows who has a mail of it: the domain's case says nothing, the local part's might (src/address.ts). An
-- address has one @ (is_address).
create function mailchute.batch_key(address text) returns text
language sql immutable parallel safe
return split_part(address, '@', 1) || '@' || lower(split_part(address, '@', 2) collate "C");

-- Tells of most recipients that they have no fault, in a fraction of the time of the checks that name it. Never true
-- when those find one; false says nothing. In the text of a jsonb value every control character but DEL stands behind a
-- backslash.
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

-- Puts a part of a bulk send into the queue, in the caller's transaction: `recipients` is a list of [email, name, key,
-- {"variable": "value"}] or null, `first` the place of its first in the whole list, `id` the same UUID for all parts of
-- one call. Who is in the batch already (by the key, else by the address) gets no second mail. `refused`: with `skip`
-- those with a fault, as [{"index", "path", "message"}, …]; else the first fault is an error.
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

  select o.scheduled, o.expires, o.expires_after, coalesce(o.lane, 2::smallint), o.on_uncertain into scheduled, expires, expires_after, lane, on_uncertain
  from mailchute.terms_of(the_batch.mail, app_name) o;
  from_email := the_batch.mail -> 'from' ->> 'email';
  from_name := the_batch.mail -> 'from' ->> 'name';
  reply_to := coalesce(nullif(the_batch.mail -> 'replyTo', 'null'), '[]');
  return_path := the_batch.mail ->> 'returnPath';
  unsubscribe := the_batch.mail ->> 'unsubscribe';
  tags := array(select jsonb_array_elements_text(coalesce(nullif(the_batch.mail -> 'tags', 'null'), '[]')));
  metadata := coalesce(nullif(the_batch.mail -> 'metadata', 'null'), '{}');
  stream := the_batch.mail ->> 'stream';
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

  -- The same person twice in one call is hardly meant: whoever has two invoices gets two keys, and must not lose one in
  -- silence.
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

-- Those of a call that got no mail because another of the same call has the same key, but for those that were refused
-- before.
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
