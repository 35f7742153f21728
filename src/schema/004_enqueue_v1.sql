-- The enqueue of one mail: first what it calls, each for a part that few mails have, and at the end enqueue_v1.

-- Stores the attachments of a new content.
create function mailchute.add_attachments(new_content uuid, attachments jsonb) returns void
language plpgsql as $$
declare
  total_bytes bigint;
begin
  if jsonb_typeof(attachments) <> 'array' then
    return;
  end if;
  with stored as (
    insert into mailchute.attachment (content_id, position, filename, content_type, cid, bytes)
    select new_content, a.place - 1, a.item ->> 'filename', a.item ->> 'contentType', a.item ->> 'contentId', decode(a.item ->> 'base64', 'base64')
    from jsonb_array_elements(attachments) with ordinality as a(item, place)
    returning octet_length(bytes) as bytes
  )
  select sum(stored.bytes) into total_bytes from stored;
  if total_bytes > 25000000 then
    perform mailchute.refuse('[{"path": "attachments", "message": "have more than 25,000,000 bytes"}]');
  end if;
exception when invalid_parameter_value then
  perform mailchute.refuse('[{"path": "attachments", "message": "have content that is not base64"}]');
end $$;

-- Stores the recipients of a new message; true when one of them is not suppressed.
create function mailchute.add_recipients(new_seq bigint, app text, request jsonb) returns boolean
language plpgsql as $$
declare
  addresses jsonb := coalesce(nullif(request -> 'to', 'null'), '[]');
  to_count integer := jsonb_array_length(addresses);
  cc_count integer;
  is_open boolean;
begin
  addresses := addresses || coalesce(nullif(request -> 'cc', 'null'), '[]');
  cc_count := jsonb_array_length(addresses) - to_count;
  addresses := addresses || coalesce(nullif(request -> 'bcc', 'null'), '[]');
  with stored as (
    insert into mailchute.recipient (seq, position, kind, email, name, state, reason)
    select new_seq, r.place - 1, case when r.place <= to_count then 'to' when r.place <= to_count + cc_count then 'cc' else 'bcc' end,
      r.item ->> 'email', nullif(r.item ->> 'name', ''), case when r.why is null then 'queued' else 'suppressed' end, r.why
    from (
      select item, place, (
        select 'On the suppression list: ' || s.reason from mailchute.listed_for(lower(item ->> 'email'), app) s
        where (request -> 'overrideSuppression') is distinct from 'true' or not mailchute.is_overridable(s.reason)
        limit 1) as why
      from jsonb_array_elements(addresses) with ordinality as e(item, place)
    ) r
    returning state
  )
  select bool_or(stored.state = 'queued') into is_open from stored;
  return is_open;
end $$;

-- When a mail goes out, how soon and until when: what it says itself and, where it does not, its stream. Of one mail or
-- of all of a batch. An item's time is the latest end of its window, and its digest expires by the stream: an item has
-- no such time of its own.
create function mailchute.terms_of(mail jsonb, app text, out scheduled timestamptz, out expires timestamptz, out expires_after integer, out lane smallint,
  out on_uncertain text)
language plpgsql stable as $$
declare
  in_digest boolean := (mail ->> 'digest') is not null;
  of_stream record;
begin
  -- Only when given: the exception block in there costs a subtransaction.
  if (mail ->> 'scheduledAt') is not null then
    scheduled := mailchute.to_time(mail ->> 'scheduledAt', 'scheduledAt');
  end if;
  if (mail ->> 'expiresAt') is not null then
    expires := mailchute.to_time(mail ->> 'expiresAt', 'expiresAt');
  end if;
  if expires <= greatest(scheduled, statement_timestamp()) then
    perform mailchute.refuse('[{"path": "expiresAt", "message": "is not after the time of sending"}]');
  end if;
  lane := case mail ->> 'priority' when 'high' then 0 when 'normal' then 1 when 'low' then 2 end;
  on_uncertain := mail ->> 'onUncertain';
  if in_digest then
    scheduled := mailchute.digest_latest(mail -> 'digest', statement_timestamp());
  end if;
  if (mail ->> 'stream') is not null then
    select s.lane, s.expires_after, s.on_uncertain, s.digest into of_stream from mailchute.stream_of(mail ->> 'stream', app) s;
    if found then
      if in_digest and not of_stream.digest then
        perform mailchute.refuse(jsonb_build_array(jsonb_build_object('path', 'digest', 'message',
          'does not go with the stream ' || (mail ->> 'stream') || ', whose mails go out one by one')));
      end if;
      lane := coalesce(lane, of_stream.lane);
      on_uncertain := coalesce(on_uncertain, of_stream.on_uncertain);
      if expires is null and not in_digest then
        expires_after := of_stream.expires_after;
        expires := greatest(scheduled, statement_timestamp()) + make_interval(secs => expires_after);
      end if;
    end if;
  end if;
end $$;

-- The app's mail that is in the way of a new one: by its idempotency key, which must have been used for the same
-- request, or by its id. Null: there is none.
create function mailchute.known_mail(app text, new_id uuid, key text, hash bytea) returns uuid
language plpgsql as $$
declare
  known record;
begin
  select m.id, m.request_hash into known from mailchute.message m where m.app = known_mail.app and m.idempotency_key = key;
  if found then
    if known.request_hash is distinct from hash then
      raise exception 'Idempotency key % was used for another mail', key using errcode = 'MC004',
        hint = 'Use a new key for a new mail; the same key returns the first mail only for the same request';
    end if;
    return known.id;
  end if;
  return (select m.id from mailchute.message m where m.id = new_id and m.app = known_mail.app);
end $$;

-- Puts one mail into the queue, in the caller's transaction. `created` is false when the id or the idempotency key was
-- there. It waits for nobody, except a transaction that has just inserted the same id or the same key.
--
-- Written to be short in Postgres' time: each SQL statement in here costs as much as dozens of expressions, so the
-- common mail makes one look at the tables and four inserts, and what few mails have is read only from those.
--
-- A session keeps the plans of what it asks again and again. enable_seqscan: one that was made while a table was empty
-- would read all of it when it has grown; the functions of 005_status.sql say so too. plan_cache_mode: else the first
-- five mails of a session are planned anew each, which takes as long as all the rest, and an edge app may send no more
-- over a connection.
create function mailchute.enqueue_v1(request jsonb, out id uuid, out created boolean)
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
  plain boolean := mailchute.is_plain(request);
  has_options boolean;
  issues jsonb;
  app_name text;
  senders text[];
  recipients text[];
  may_send boolean;
  is_full boolean;
  is_asleep boolean;
  suppressed text;
  new_id uuid;
  new_seq bigint;
  -- An id of its own, so that two transactions with the same content, or two apps with the same id, meet nowhere.
  new_content uuid := mailchute.new_id();
  from_email text;
  only_email text;
  key text;
  hash bytea;
  is_open boolean;
  -- What few mails have; without it, what the columns hold.
  reply_to jsonb;
  return_path text;
  unsubscribe text;
  headers jsonb;
  tags text[];
  metadata jsonb;
  priority smallint;
  on_uncertain text;
  stream text;
  scheduled timestamptz;
  expires timestamptz;
  expires_after integer;
  in_digest boolean := false;
  overrides boolean := false;
begin
  if plain then
    has_options := request - array['id', 'from', 'to', 'subject', 'text', 'html'] <> '{}';
    only_email := request #>> '{to,0,email}';
  end if;
  if not plain or has_options then
    if request ? 'template' then
      app_name := mailchute.current_app();
      -- Of what was asked, and before it is made: the same key finds its mail, whatever has become of the template.
      key := request ->> 'idempotencyKey';
      hash := case when key is not null then sha256(convert_to((request - 'id' - 'idempotencyKey')::text, 'UTF8')) end;
      select m.id into id from mailchute.message m where m.app = app_name and m.idempotency_key = key and m.request_hash = hash;
      if found then
        created := false;
        return;
      end if;
      request := mailchute.mail_of_template(request, app_name);
      plain := mailchute.is_plain(request);
      only_email := case when plain then request #>> '{to,0,email}' end;
    end if;
    issues := mailchute.request_issues(request, plain);
    if issues <> '[]' then
      perform mailchute.refuse(issues);
    end if;
    has_options := true;
  end if;
  new_id := (request ->> 'id')::uuid;
  from_email := request -> 'from' ->> 'email';

  -- The one look: who asks, how the relays are, and whether the one recipient is suppressed.
  select a.name, a.senders, a.recipients, lower(from_email collate "C") like any (a.senders_like), r.is_full, r.is_asleep,
    (select s.reason from mailchute.listed_for(lower(only_email), coalesce(a.name, session_user::text collate "default")) s limit 1)
  into app_name, senders, recipients, may_send, is_full, is_asleep, suppressed
  from (
    select bool_or(full_until > statement_timestamp()) as is_full, bool_or(mailchute.sleeps(asleep, heartbeat_at)) as is_asleep
    from mailchute.relay
  ) r
  left join (mailchute.app_role c join mailchute.app a on a.name = c.app) on c.role = session_user;
  if app_name is null then
    app_name := mailchute.owner_app();
    senders := array['*'];
  end if;
  -- A Sender header is checked for its form in there too.
  if recipients is not null or not may_send or has_options and request ?| array['headers', 'returnPath'] then
    perform mailchute.check_allowed(request, app_name, senders, recipients);
  end if;

  -- What few mails have. What it says of time and stream is read as for a batch; the rest goes into the columns of that
  -- name.
  if has_options then
    key := request ->> 'idempotencyKey';
    select o.scheduled, o.expires, o.expires_after, o.lane, o.on_uncertain into scheduled, expires, expires_after, priority, on_uncertain
    from mailchute.terms_of(request, app_name) o;
    in_digest := (request ->> 'digest') is not null;
    if (request ->> 'tags') is not null then
      tags := array(select tag from jsonb_array_elements_text(request -> 'tags') as t(tag));
    end if;
    if key is not null and hash is null then
      hash := sha256(convert_to((request - 'id' - 'idempotencyKey')::text, 'UTF8'));
    end if;
    reply_to := nullif(request -> 'replyTo', 'null');
    return_path := request ->> 'returnPath';
    unsubscribe := request ->> 'unsubscribe';
    headers := nullif(request -> 'headers', 'null');
    metadata := nullif(request -> 'metadata', 'null');
    stream := request ->> 'stream';
    overrides := (request -> 'overrideSuppression') = 'true';
    if overrides then
      perform mailchute.check_override(app_name);
      -- Which reasons it goes past, add_recipients knows.
      plain := false;
    end if;
  end if;

  -- Before anything is written, since much comes when this refuses. A mail that is there already is no further one.
  if is_full then
    -- Not one condition with the line above: one that calls such a function takes a snapshot for each mail, a tenth of
    -- all its time.
    if mailchute.known_mail(app_name, new_id, key, hash) is null then
      raise exception 'Cannot enqueue the mail: the queue is full' using errcode = 'MC005',
        hint = 'Try again later; RELAY_MAX_QUEUE, a setting of the relay, says how many messages may wait';
    end if;
  end if;

  -- The four inserts.
  loop
    insert into mailchute.message (id, app, content_id, idempotency_key, request_hash, from_email, from_name, reply_to,
      return_path, unsubscribe, tags, metadata, lane, on_uncertain, stream, scheduled_at, expires_at, expires_after, overrides_suppression)
    values (new_id, app_name, new_content, key, hash, from_email, request -> 'from' ->> 'name',
      coalesce(reply_to, '[]'), return_path, unsubscribe, coalesce(tags, '{}'), coalesce(metadata, '{}'), coalesce(priority, 1), on_uncertain,
      stream, scheduled, expires, expires_after, nullif(overrides, false))
    on conflict do nothing
    returning message.seq into new_seq;
    exit when new_seq is not null;

    created := false;
    id := mailchute.known_mail(app_name, new_id, key, hash);
    if id is not null then
      return;
    end if;
    -- Retention has deleted the mail that was in the way: this one is new.
  end loop;

  insert into mailchute.content (id, subject, text, html, headers)
  values (new_content, request ->> 'subject', request ->> 'text', request ->> 'html', coalesce(headers, '[]'));
  if has_options and request ? 'attachments' then
    perform mailchute.add_attachments(new_content, request -> 'attachments');
  end if;

  if plain then
    insert into mailchute.recipient (seq, position, kind, email, name, state, reason)
    values (new_seq, 0, 'to', only_email, nullif(request #>> '{to,0,name}', ''), case when suppressed is null then 'queued' else 'suppressed' end,
      'On the suppression list: ' || suppressed);
    is_open := suppressed is null;
  else
    is_open := mailchute.add_recipients(new_seq, app_name, request);
  end if;

  if is_open then
    insert into mailchute.queue (seq, lane, due)
    values (new_seq, coalesce(priority, 1), case when in_digest then 'infinity' else greatest(scheduled, statement_timestamp()) end);
    -- The insert may have waited for another use of the key, and a relay may have gone to sleep since.
    if key is not null and is_asleep is not true then
      is_asleep := exists (select from mailchute.relay r where mailchute.sleeps(r.asleep, r.heartbeat_at));
    end if;
    if in_digest and not mailchute.add_to_digest(new_seq, app_name, request, scheduled) then
      is_asleep := false;
    end if;
    -- NOTIFY takes a lock for the whole database at commit: ring only while a relay sleeps (and lives).
    if is_asleep then
      perform pg_notify('mailchute', '');
    end if;
  end if;
  id := new_id;
  created := true;
end $$;
