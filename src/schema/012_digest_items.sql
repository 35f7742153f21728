-- Digests: many notifications for one recipient, sent as one mail. Here is what an app says and what waits;
-- 013_digests.sql makes the mails.
--
-- An item is a message as any other, with a row of `digest_item` that says what it waits for; its row of `queue` is due
-- at infinity. Enqueue adds these rows and touches none that another item has, so it waits for nobody. A relay closes a
-- window (close_digests): over what is committed then, in one transaction, it makes the mail and takes its items out of
-- the queue, so that each is in exactly one digest whatever dies when.

-- An item that is in a digest: what becomes of it, the digest's own recipient says. Not validated: no row has the new
-- value, and to look costs a scan.
alter domain mailchute.recipient_state drop constraint recipient_state_check;
alter domain mailchute.recipient_state add constraint recipient_state_check check (value in
  ('queued', 'deferred', 'held', 'sent', 'bounced', 'failed', 'expired', 'suppressed', 'canceled', 'digested')) not valid;

-- What a digest says: {"items": [{"subject", "text", "html"}, …], "more": "and 3 more"}; its text and html are made of
-- it when it is composed.
alter table mailchute.content add column digest jsonb;

create table mailchute.digest_item (
  seq bigint primary key,
  -- Whose digest it belongs to, with the recipient's address in lower case.
  app text not null,
  address text not null,
  key text not null,
  -- The window: so long after an item, or a time of day.
  wait interval,
  clock_time time,
  time_zone text,
  -- With debounce: the longest that an item may wait; null: the first item says when the window ends.
  at_most interval,
  -- Of the newest item, these make the mail.
  subject text,
  more text,
  max_items smallint not null,
  since timestamptz not null default statement_timestamp(),
  -- Not before this is there anything to close; null when it has gone out.
  look_at timestamptz,
  -- The message that it went out in, which is its own when it was alone; null while it waits.
  digest bigint
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
-- Two conditions that do not follow from each other: no index is taken for the other, whatever the statistics say of
-- how few items wait.
create index digest_item_look on mailchute.digest_item (look_at) where look_at is not null;
create index digest_item_group on mailchute.digest_item (app, address, key) where digest is null;
create index digest_item_digest on mailchute.digest_item (digest) where digest is not null;

-- A window that was closed: what comes late, from a transaction that was open then, belongs to the next.
create table mailchute.digest (
  -- The message that it became.
  seq bigint primary key,
  app text not null,
  address text not null,
  key text not null,
  items integer not null,
  closed_at timestamptz not null
);
create index digest_closed on mailchute.digest (app, address, key, closed_at);

-- Reads '90s', '15m', '1h' or '7d', up to 31 days; null: it is none of them. In seconds, since a day of Postgres may
-- have 23 hours.
create function mailchute.digest_span(value text) returns interval
language sql immutable parallel safe
return (
  select make_interval(secs => s.seconds) from (
    select substring(value from '^([1-9][0-9]{0,6})[smhd]$')::float8
      * case right(value, 1) when 's' then 1 when 'm' then 60 when 'h' then 3600 when 'd' then 86400 end as seconds
  ) s where s.seconds <= 31 * 86400
);

-- Tells whether this database knows a time zone, by its name and not by an offset.
create function mailchute.is_time_zone(value text) returns boolean
language plpgsql stable as $$
begin
  if value !~ '^(UTC|[A-Za-z_]+(/[A-Za-z0-9_+-]+)+)$' then
    return false;
  end if;
  perform statement_timestamp() at time zone value;
  return true;
exception when invalid_parameter_value then
  return false;
end $$;

-- When a window ends that begins at `base`: after the wait, or at the next such time of day. A time that the clocks
-- skip is as much later, and one that they show twice is the second.
create function mailchute.digest_end(wait interval, clock_time time, time_zone text, base timestamptz) returns timestamptz
language sql stable parallel safe
return case
  when clock_time is null then base + wait
  when ((base at time zone time_zone)::date + clock_time) at time zone time_zone > base
    then ((base at time zone time_zone)::date + clock_time) at time zone time_zone
  else ((base at time zone time_zone)::date + 1 + clock_time) at time zone time_zone
end;

-- The faults of a mail that asks for a digest, as issues.
create function mailchute.digest_issues(request jsonb) returns jsonb
language plpgsql stable as $$
declare
  issues jsonb := '[]';
  digest jsonb := request -> 'digest';
  wait interval;
  field text;
  known text;
begin
  if jsonb_typeof(digest) <> 'object' then
    return $json$[{"path": "digest", "message": "must be {\"key\", \"wait\"} or {\"key\", \"at\", \"timeZone\"}"}]$json$;
  end if;
  for field in select k.key from jsonb_object_keys(digest) as k(key)
    where k.key <> all (array['key', 'wait', 'debounce', 'atMost', 'at', 'timeZone', 'subject', 'more', 'maxItems'])
  loop
    issues := issues || jsonb_build_object('path', 'digest.' || field, 'message', 'is not a field of a digest');
  end loop;
  if jsonb_typeof(digest -> 'key') is distinct from 'string' or not mailchute.is_line(digest ->> 'key') or octet_length(digest ->> 'key') not between 1 and 256 then
    issues := issues || '{"path": "digest.key", "message": "must have 1 to 256 bytes without control characters"}';
  end if;

  if (digest ->> 'wait') is null and (digest ->> 'at') is null then
    issues := issues || '{"path": "digest.wait", "message": "is missing, and at too"}';
  elsif (digest ->> 'wait') is not null and (digest ->> 'at') is not null then
    issues := issues || '{"path": "digest.wait", "message": "does not go with at: a window ends after a time or at a time of day"}';
  end if;
  if (digest ->> 'wait') is not null then
    wait := mailchute.digest_span(digest ->> 'wait');
    if wait is null then
      issues := issues || '{"path": "digest.wait", "message": "must be a time of 1s to 31d, such as 90s, 15m, 1h or 7d"}';
    end if;
  end if;
  if coalesce(jsonb_typeof(digest -> 'debounce'), 'null') <> all (array['boolean', 'null']) then
    issues := issues || '{"path": "digest.debounce", "message": "must be true or false"}';
  elsif (digest ->> 'debounce') = 'true' and (digest ->> 'wait') is null then
    issues := issues || '{"path": "digest.debounce", "message": "goes with wait only"}';
  end if;
  if (digest ->> 'atMost') is not null then
    if (digest ->> 'debounce') is distinct from 'true' then
      issues := issues || '{"path": "digest.atMost", "message": "goes with debounce only: without it the first item says when the window ends"}';
    elsif coalesce(mailchute.digest_span(digest ->> 'atMost') < coalesce(wait, '0'), true) then
      issues := issues || '{"path": "digest.atMost", "message": "must be a time of at least wait and at most 31d, such as 1d"}';
    end if;
  end if;
  if (digest ->> 'at') is not null and (jsonb_typeof(digest -> 'at') <> 'string' or (digest ->> 'at') !~ '^([01][0-9]|2[0-3]):[0-5][0-9]$') then
    issues := issues || '{"path": "digest.at", "message": "must be a time of day such as 09:00"}';
  end if;
  if (digest ->> 'timeZone') is not null and (digest ->> 'at') is null then
    issues := issues || '{"path": "digest.timeZone", "message": "goes with at only"}';
  elsif (digest ->> 'at') is not null and mailchute.is_time_zone(coalesce(digest ->> 'timeZone', '')) is not true then
    issues := issues || '{"path": "digest.timeZone", "message": "must be a time zone that the database knows, such as Europe/Vienna"}';
  end if;

  foreach field in array array['subject', 'more'] loop
    known := case field when 'subject' then 'count' else 'more' end;
    if (digest ->> field) is not null and (jsonb_typeof(digest -> field) <> 'string' or not mailchute.is_line(digest ->> field) or octet_length(digest ->> field) not between 1 and 998
      or not mailchute.is_template(digest ->> field) or mailchute.template_names(digest ->> field) <@ array[known] is not true) then
      issues := issues || jsonb_build_object('path', 'digest.' || field, 'message',
        'must be a line of at most 998 bytes, with no other name than {{' || known || '}}');
    end if;
  end loop;
  if coalesce(digest -> 'maxItems', 'null') <> 'null' and (jsonb_typeof(digest -> 'maxItems') <> 'number'
    or (digest ->> 'maxItems') !~ '^[0-9]{1,3}$' or (digest ->> 'maxItems')::integer not between 1 and 500) then
    issues := issues || '{"path": "digest.maxItems", "message": "must be a whole number from 1 to 500"}';
  end if;

  foreach field in array array['cc', 'bcc', 'attachments', 'scheduledAt', 'expiresAt'] loop
    if coalesce(request -> field, 'null') <> all (array['null', '[]']::jsonb[]) then
      issues := issues || jsonb_build_object('path', field, 'message', case field
        when 'attachments' then 'do not go with digest: link to the files, or send a mail of its own'
        when 'cc' then 'does not go with digest: send each recipient an item'
        when 'bcc' then 'does not go with digest: send each recipient an item'
        else 'does not go with digest: its window says when it is sent' end);
    end if;
  end loop;
  if (request -> 'overrideSuppression') = 'true' then
    issues := issues || '{"path": "overrideSuppression", "message": "does not go with digest: send what must go by itself"}';
  end if;
  if jsonb_typeof(request -> 'to') = 'array' and jsonb_array_length(request -> 'to') > 1 then
    issues := issues || '{"path": "to", "message": "has several addresses, which do not go with digest: send each recipient an item"}';
  end if;
  if coalesce(octet_length(request ->> 'text'), 0) + coalesce(octet_length(request ->> 'html'), 0) > 1000000 then
    issues := issues || '{"path": "digest", "message": "takes items of at most 1,000,000 bytes, text and html together"}';
  end if;
  return issues;
end $$;

-- When an item goes out at the latest, if it is the first of its window.
create function mailchute.digest_latest(digest jsonb, base timestamptz) returns timestamptz
language sql stable
return case when (digest ->> 'debounce') = 'true'
  then base + coalesce(mailchute.digest_span(digest ->> 'atMost'), least(mailchute.digest_span(digest ->> 'wait') * 10, mailchute.digest_span('31d')))
  else mailchute.digest_end(mailchute.digest_span(digest ->> 'wait'), (digest ->> 'at')::time, digest ->> 'timeZone', base) end;

-- Lets a new message wait for its digest. True when a relay has to know: no item that waits already ends the window as
-- soon.
create function mailchute.add_to_digest(new_seq bigint, new_app text, request jsonb, latest timestamptz) returns boolean
language plpgsql as $$
declare
  new_address text := lower(request #>> '{to,0,email}');
  wanted jsonb := request -> 'digest';
  new_wait interval := mailchute.digest_span(wanted ->> 'wait');
  new_time time := (wanted ->> 'at')::time;
  ends timestamptz := mailchute.digest_end(new_wait, new_time, wanted ->> 'timeZone', statement_timestamp());
begin
  insert into mailchute.digest_item (seq, app, address, key, wait, clock_time, time_zone, at_most, subject, more, max_items, look_at)
  values (new_seq, new_app, new_address, wanted ->> 'key', new_wait, new_time, wanted ->> 'timeZone',
    -- In seconds, as digest_span has it.
    case when (wanted ->> 'debounce') = 'true' then make_interval(secs => extract(epoch from latest - statement_timestamp())) end,
    wanted ->> 'subject', wanted ->> 'more', coalesce((wanted ->> 'maxItems')::smallint, 50), ends);
  return not exists (
    select from mailchute.digest_item i
    where i.app = new_app and i.address = new_address and i.key = wanted ->> 'key' and i.digest is null and i.seq <> new_seq
      and coalesce(i.look_at <= ends, false));
end $$;
