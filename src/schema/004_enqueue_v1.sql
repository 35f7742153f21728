-- Refuses a request whose senders or recipients the app's allow-lists do not name.
create function mailchute.check_allowed(request jsonb, app text, senders text[], recipients text[]) returns void
language plpgsql immutable as $$
declare
  field text;
  address text;
begin
  if senders <> array['*'] then
    for field, address in
      select 'from', request -> 'from' ->> 'email'
      union all select 'returnPath', request ->> 'returnPath' where request ->> 'returnPath' <> ''
      -- One mailbox (RFC 5322 section 3.6.2), its name in quotes or without specials: what is no such mailbox matches nobody.
      union all select 'headers.Sender', mailchute.mailbox_email(h ->> 1)
        from jsonb_array_elements(coalesce(nullif(request -> 'headers', 'null'), '[]')) as h where lower(h ->> 0) = 'sender'
    loop
      if not mailchute.is_address(address) or not mailchute.address_matches(address, senders) then
        raise exception 'App % may not send as %', app, address using errcode = 'MC002',
          detail = jsonb_build_array(jsonb_build_object('path', field, 'message', 'is not one of the app''s senders'))::text,
          hint = 'An administrator allows it with: mailchute grants ROLE --app ' || app || ' --from ' || quote_literal(address);
      end if;
    end loop;
  end if;
  -- After the allow-list, so that a foreign sender is told first. Only one mailbox is sure to be read alike by everybody (RFC 5322 section 3.6.2).
  if exists (select from jsonb_array_elements(coalesce(nullif(request -> 'headers', 'null'), '[]')) as h where lower(h ->> 0) = 'sender'
    having count(*) > 1 or not bool_and(mailchute.is_address(mailchute.mailbox_email(h ->> 1)))) then
    perform mailchute.refuse('[{"path": "headers.Sender", "message": "is not one mail address"}]');
  end if;
  if recipients is not null then
    for field, address in
      select k.kind || '.' || (r.place - 1), r.item ->> 'email'
      from unnest(array['to', 'cc', 'bcc']) as k(kind)
      cross join lateral jsonb_array_elements(coalesce(nullif(request -> k.kind, 'null'), '[]')) with ordinality as r(item, place)
    loop
      if not mailchute.address_matches(address, recipients) then
        raise exception 'App % may not send to %', app, address using errcode = 'MC003',
          detail = jsonb_build_array(jsonb_build_object('path', field, 'message', 'is not one of the app''s recipients'))::text,
          hint = 'An administrator allows it with: mailchute grants ROLE --app ' || app || ' --to ' || quote_literal(address);
      end if;
    end loop;
  end if;
end $$;

-- Reads an ISO 8601 time whose form has been checked; a month 13 is an issue of its field.
create function mailchute.to_time(value text, field text) returns timestamptz
language plpgsql stable as $$
begin
  return value::timestamptz;
exception when datetime_field_overflow or invalid_datetime_format or invalid_time_zone_displacement_value then
  perform mailchute.refuse(jsonb_build_array(jsonb_build_object('path', field, 'message', 'is not a time')));
end $$;

-- Puts one mail into the queue, in the caller's transaction. `created` is false when the id or the idempotency key was there.
-- It waits for nobody, except a transaction that has just inserted the same id or the same key.
create function mailchute.enqueue_v1(request jsonb) returns table (id uuid, created boolean)
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp as $$
#variable_conflict use_column
declare
  caller record;
  issues jsonb;
  new_id uuid;
  new_seq bigint;
  -- An id of its own, so that two transactions with the same content, or two apps with the same id, meet nowhere.
  new_content uuid := mailchute.new_id();
  key text;
  hash bytea;
  known record;
  open_recipients integer;
  attachment_bytes bigint;
  scheduled timestamptz;
  expires timestamptz;
  tags text[] := '{}';
  to_count integer;
  cc_count integer;
begin
  issues := mailchute.request_issues(request);
  if issues <> '[]' then
    perform mailchute.refuse(issues);
  end if;
  select * into caller from mailchute.current_app();
  -- A Sender header is checked for its form in there too.
  if caller.senders <> array['*'] or caller.recipients is not null or request ? 'headers' then
    perform mailchute.check_allowed(request, caller.app, caller.senders, caller.recipients);
  end if;

  new_id := (request ->> 'id')::uuid;
  key := request ->> 'idempotencyKey';
  -- Only when given: the exception block in there costs a subtransaction.
  if (request ->> 'scheduledAt') is not null then
    scheduled := mailchute.to_time(request ->> 'scheduledAt', 'scheduledAt');
  end if;
  if (request ->> 'expiresAt') is not null then
    expires := mailchute.to_time(request ->> 'expiresAt', 'expiresAt');
  end if;
  if expires <= greatest(coalesce(scheduled, statement_timestamp()), statement_timestamp()) then
    perform mailchute.refuse('[{"path": "expiresAt", "message": "is not after the time of sending"}]');
  end if;
  if (request ->> 'tags') is not null then
    tags := array(select tag from jsonb_array_elements_text(request -> 'tags') as t(tag));
  end if;
  if key is not null then
    hash := sha256(convert_to((request - 'id' - 'idempotencyKey')::text, 'UTF8'));
  end if;

  -- Before anything is written, since much comes when this refuses. A mail that is there already is no further one.
  if exists (select from mailchute.relay where full_until > statement_timestamp())
    and not exists (select from mailchute.message m where m.id = new_id and m.app = caller.app)
    and not exists (select from mailchute.message m where m.app = caller.app and m.idempotency_key = key) then
    raise exception 'Cannot enqueue the mail: the queue is full' using errcode = 'MC005',
      hint = 'Try again later; RELAY_MAX_QUEUE, a setting of the relay, says how many messages may wait';
  end if;

  insert into mailchute.message (id, app, content_id, idempotency_key, request_hash, from_email, from_name, reply_to,
    return_path, unsubscribe, tags, metadata, lane, on_uncertain, scheduled_at, expires_at)
  values (new_id, caller.app, new_content, key, hash, request -> 'from' ->> 'email', request -> 'from' ->> 'name',
    coalesce(nullif(request -> 'replyTo', 'null'), '[]'), request ->> 'returnPath', request ->> 'unsubscribe',
    tags,
    coalesce(nullif(request -> 'metadata', 'null'), '{}'),
    case request ->> 'priority' when 'high' then 0 when 'low' then 2 else 1 end,
    request ->> 'onUncertain', scheduled, expires)
  on conflict do nothing
  returning message.seq into new_seq;

  if new_seq is null then
    select m.id, m.request_hash into known from mailchute.message m where m.app = caller.app and m.idempotency_key = key;
    if not found then
      return query select new_id, false;
      return;
    end if;
    if known.request_hash is distinct from hash then
      raise exception 'Idempotency key % was used for another mail', key using errcode = 'MC004',
        hint = 'Use a new key for a new mail; the same key returns the first mail only for the same request';
    end if;
    return query select known.id, false;
    return;
  end if;

  insert into mailchute.content (id, subject, text, html, headers)
  values (new_content, request ->> 'subject', request ->> 'text', request ->> 'html', coalesce(nullif(request -> 'headers', 'null'), '[]'));

  if jsonb_array_length(coalesce(nullif(request -> 'attachments', 'null'), '[]')) > 0 then
    begin
      with stored as (
        insert into mailchute.attachment (content_id, position, filename, content_type, cid, bytes)
        select new_content, a.place - 1, a.item ->> 'filename', a.item ->> 'contentType', a.item ->> 'contentId', decode(a.item ->> 'base64', 'base64')
        from jsonb_array_elements(request -> 'attachments') with ordinality as a(item, place)
        returning octet_length(bytes) as bytes
      )
      select sum(stored.bytes) into attachment_bytes from stored;
    exception when invalid_parameter_value then
      perform mailchute.refuse('[{"path": "attachments", "message": "have content that is not base64"}]');
    end;
    if attachment_bytes > 25000000 then
      perform mailchute.refuse('[{"path": "attachments", "message": "have more than 25,000,000 bytes"}]');
    end if;
  end if;

  to_count := jsonb_array_length(coalesce(nullif(request -> 'to', 'null'), '[]'));
  cc_count := jsonb_array_length(coalesce(nullif(request -> 'cc', 'null'), '[]'));
  with stored as (
    insert into mailchute.recipient (seq, position, kind, email, name, state, reason)
    select new_seq, r.place - 1, case when r.place <= to_count then 'to' when r.place <= to_count + cc_count then 'cc' else 'bcc' end,
      r.item ->> 'email', nullif(r.item ->> 'name', ''), case when r.why is null then 'queued' else 'suppressed' end, r.why
    from (
      select item, place, (
        select 'On the suppression list: ' || s.reason from mailchute.suppression s
        where s.address = lower(item ->> 'email') and s.scope in ('all', 'app:' || caller.app)
          and (s.until is null or s.until > statement_timestamp())
        limit 1) as why
      from jsonb_array_elements(coalesce(nullif(request -> 'to', 'null'), '[]') || coalesce(nullif(request -> 'cc', 'null'), '[]')
        || coalesce(nullif(request -> 'bcc', 'null'), '[]')) with ordinality as e(item, place)
    ) r
    returning state
  )
  select count(*) filter (where stored.state = 'queued') into open_recipients from stored;

  if open_recipients > 0 then
    insert into mailchute.queue (seq, lane, due)
    values (new_seq, case request ->> 'priority' when 'high' then 0 when 'low' then 2 else 1 end,
      greatest(coalesce(scheduled, statement_timestamp()), statement_timestamp()));
    -- NOTIFY takes a lock for the whole database at commit: ring only while a relay sleeps (and lives).
    if exists (select from mailchute.relay where asleep and heartbeat_at > statement_timestamp() - interval '2 minutes') then
      perform pg_notify('mailchute', '');
    end if;
  end if;
  return query select new_id, true;
end $$;
