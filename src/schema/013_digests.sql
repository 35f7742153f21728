-- Digests: many notifications for one recipient, sent as one mail.
--
-- An item is a message as any other, with a row of `digest_item` that says what it waits for; its row of `queue` is due at infinity. Enqueue adds these
-- rows and touches none that another item has, so it waits for nobody. A relay closes a window (close_digests): over what is committed then,
-- in one transaction, it makes the mail and takes its items out of the queue, so that each is in exactly one digest whatever dies when.

-- An item that is in a digest: what becomes of it, the digest's own recipient says. Not validated: no row has the new value, and to look costs a scan.
alter domain mailchute.recipient_state drop constraint recipient_state_check;
alter domain mailchute.recipient_state add constraint recipient_state_check check (value in
  ('queued', 'deferred', 'held', 'sent', 'bounced', 'failed', 'expired', 'suppressed', 'canceled', 'digested')) not valid;

-- What a digest says: {"items": [{"subject", "text", "html"}, …], "more": "and 3 more"}; its text and html are made of it when it is composed.
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
-- Two conditions that do not follow from each other: no index is taken for the other, whatever the statistics say of how few items wait.
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

-- Reads '90s', '15m', '1h' or '7d', up to 31 days; null: it is none of them. In seconds, since a day of Postgres may have 23 hours.
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

-- When a window ends that begins at `base`: after the wait, or at the next such time of day. A time that the clocks skip is as much later, and one
-- that they show twice is the second.
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

-- Lets a new message wait for its digest. True when a relay has to know: no item that waits already ends the window as soon.
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

-- Closes windows that have ended, of at most so many digests, for a second or so: what is due waits for it. Answers how many were looked at, and when the next may
-- have ended. Only one may do so at a time: a second one would make a second digest of what was committed meanwhile. Who finds another at it answers 0.
create function mailchute.close_digests(most integer, moment timestamptz default statement_timestamp(), out looked integer, out next_at timestamptz)
language plpgsql set enable_seqscan = off as $$
declare
  found_group record;
begin
  looked := 0;
  if exists (select from mailchute.digest_item i where i.look_at <= moment) then
    begin
      -- Of the table, on which apps have no right, and in a mode that nobody else takes but a vacuum: anybody may take an advisory lock.
      lock table mailchute.digest in share update exclusive mode nowait;
    exception when lock_not_available then
      next_at := moment + interval '1 second';
      return;
    end;
    for found_group in
      select distinct f.app, f.address, f.key from (
        select i.app, i.address, i.key from mailchute.digest_item i where i.look_at <= moment order by i.look_at limit 1000
      ) f
      limit most
    loop
      looked := looked + 1;
      begin
        perform mailchute.close_digest(found_group.app, found_group.address, found_group.key, moment);
      exception when others then
        -- The others go out, and so does other mail.
        raise warning 'Cannot close a digest of app %: %', found_group.app, sqlerrm;
        update mailchute.digest_item i set look_at = moment + interval '1 minute'
        where i.app = found_group.app and i.address = found_group.address and i.key = found_group.key and i.digest is null;
      end;
      exit when clock_timestamp() > statement_timestamp() + interval '1 second';
    end loop;
  end if;
  next_at := (select i.look_at from mailchute.digest_item i where i.look_at < 'infinity' order by i.look_at limit 1);
end $$;

-- Closes the window of one digest if it has ended; for close_digests, which keeps others from doing the same. At most 20,000 items go into one digest, and what is
-- written at a time is bounded: of millions with one key, the rest has a window of its own, and other digests go out in between.
create function mailchute.close_digest(wanted_app text, wanted_address text, wanted_key text, moment timestamptz) returns void
language plpgsql set enable_seqscan = off as $$
declare
  last_close timestamptz := (select max(d.closed_at) from mailchute.digest d
    where d.app = wanted_app and d.address = wanted_address and d.key = wanted_key);
  ends timestamptz;
  seqs bigint[];
  carrier bigint;
begin
  -- What is no longer in the queue was canceled; what is due there somebody has sent on its own.
  delete from mailchute.digest_item i
  where i.app = wanted_app and i.address = wanted_address and i.key = wanted_key and i.digest is null
    and not exists (select from mailchute.queue q where q.seq = i.seq and q.due = 'infinity' and q.leased_by is null);

  -- What is older than the last close was not committed then: its window begins there.
  select least(max(w.ends), min(case when w.at_most is null then w.ends else w.base + w.at_most end)) into ends
  from (
    select b.base, b.at_most, mailchute.digest_end(b.wait, b.clock_time, b.time_zone, b.base) as ends
    from (
      select i.wait, i.clock_time, i.time_zone, i.at_most, greatest(i.since, last_close) as base from mailchute.digest_item i
      where i.app = wanted_app and i.address = wanted_address and i.key = wanted_key and i.digest is null
    ) b
  ) w;
  if ends > moment then
    update mailchute.digest_item i set look_at = ends
    where i.seq = any (array(
      select o.seq from mailchute.digest_item o
      where o.app = wanted_app and o.address = wanted_address and o.key = wanted_key and o.digest is null and coalesce(o.look_at <= moment, false)
      limit 100000));
    return;
  end if;

  -- Who cancels an item just now keeps it; should they think better of it, the next digest has it.
  seqs := array(
    select q.seq from mailchute.queue q
    where q.seq = any (array(select i.seq from mailchute.digest_item i
        where i.app = wanted_app and i.address = wanted_address and i.key = wanted_key and i.digest is null))
      and q.due = 'infinity' and q.leased_by is null
    order by q.seq
    limit 20000
    for update skip locked);
  if cardinality(seqs) > 0 and not mailchute.suppress_items(seqs, wanted_app, wanted_address) then
    if cardinality(seqs) = 1 then
      carrier := seqs[1];
      update mailchute.queue q set due = least(moment, statement_timestamp()) where q.seq = carrier;
      update mailchute.message m set scheduled_at = moment, expires_after = mailchute.stream_life(m.stream, m.app),
        expires_at = moment + make_interval(secs => mailchute.stream_life(m.stream, m.app)) where m.seq = carrier;
    else
      carrier := mailchute.make_digest(seqs, moment);
      delete from mailchute.queue q where q.seq = any (seqs);
      update mailchute.recipient r set state = 'digested', changed_at = statement_timestamp() where r.seq = any (seqs);
      delete from mailchute.content c where c.id = any (array(select m.content_id from mailchute.message m where m.seq = any (seqs)));
    end if;
    update mailchute.digest_item i set digest = carrier, look_at = null where i.seq = any (seqs);
    insert into mailchute.digest (seq, app, address, key, items, closed_at)
    values (carrier, wanted_app, wanted_address, wanted_key, cardinality(seqs), moment);
  end if;
  -- With so many there may be more, which the next look finds.
  if cardinality(seqs) = 20000 then
    return;
  end if;
  update mailchute.digest_item i set look_at = moment + interval '5 seconds'
  where i.app = wanted_app and i.address = wanted_address and i.key = wanted_key and i.digest is null and coalesce(i.look_at <= moment, false);
end $$;

-- Ends items whose recipient has been suppressed since they were enqueued; false: that is not so.
create function mailchute.suppress_items(seqs bigint[], app text, wanted_address text) returns boolean
language plpgsql as $$
declare
  why text := (select s.reason from mailchute.listed_for(wanted_address, app) s limit 1);
begin
  if why is null then
    return false;
  end if;
  delete from mailchute.queue q where q.seq = any (seqs);
  update mailchute.recipient r set state = 'suppressed', reason = 'On the suppression list: ' || why, changed_at = statement_timestamp() where r.seq = any (seqs);
  delete from mailchute.digest_item i where i.seq = any (seqs);
  return true;
end $$;

-- Makes one mail of items, in their order: from whom and how it is sent, the newest says. Answers its number.
create function mailchute.make_digest(seqs bigint[], moment timestamptz) returns bigint
language plpgsql as $$
declare
  total integer := cardinality(seqs);
  new_seq bigint;
  new_content uuid := mailchute.new_id();
  newest record;
  shown record;
  life integer;
begin
  select m.*, i.subject as digest_subject, i.more, i.max_items, r.email as to_email, r.name as to_name, c.subject as own_subject, c.headers into newest
  from mailchute.message m
  join mailchute.digest_item i on i.seq = m.seq
  join mailchute.recipient r on r.seq = m.seq and r.position = 0
  join mailchute.content c on c.id = m.content_id
  where m.seq = seqs[total];
  life := mailchute.stream_life(newest.stream, newest.app);

  insert into mailchute.message (id, app, content_id, from_email, from_name, reply_to, return_path, unsubscribe, tags, lane, on_uncertain, stream, expires_after, expires_at, created_at)
  values (mailchute.new_id(), newest.app, new_content, newest.from_email, newest.from_name, newest.reply_to, newest.return_path, newest.unsubscribe,
    array(
      select t.tag from mailchute.message m cross join unnest(m.tags) with ordinality as t(tag, place) where m.seq = any (seqs)
      group by t.tag order by min(m.seq), min(t.place) limit 50),
    (select min(m.lane::smallint) from mailchute.message m where m.seq = any (seqs)), newest.on_uncertain, newest.stream,
    life, moment + make_interval(secs => life), moment)
  returning message.seq into new_seq;

  -- As much as a mail can show, the first always.
  select count(*)::integer as items, jsonb_agg(jsonb_strip_nulls(jsonb_build_object('subject', s.subject, 'text', s.text, 'html', s.html)) order by s.seq) as list into shown
  from (
    select m.seq, c.subject, c.text, c.html, row_number() over by_seq as place,
      sum(coalesce(octet_length(c.text), 0) + coalesce(octet_length(c.html), 0)) over by_seq as bytes
    from mailchute.message m
    -- offset 0: each by its key, and no join with all contents there are.
    cross join lateral (select c.subject, c.text, c.html from mailchute.content c where c.id = m.content_id offset 0) c
    where m.seq = any (seqs)
    window by_seq as (order by m.seq)
  ) s
  where s.place <= newest.max_items and (s.bytes <= 1000000 or s.place = 1);

  insert into mailchute.content (id, subject, headers, digest)
  values (new_content,
    coalesce(regexp_replace(newest.digest_subject, $re$\{\{[\t-\r ]*count[\t-\r ]*\}\}$re$, total::text, 'g'), newest.own_subject || ' (+' || total - 1 || ')'),
    newest.headers,
    jsonb_strip_nulls(jsonb_build_object('items', shown.list, 'more', case when total > shown.items
      then regexp_replace(coalesce(newest.more, 'and {{more}} more'), $re$\{\{[\t-\r ]*more[\t-\r ]*\}\}$re$, (total - shown.items)::text, 'g') end)));
  insert into mailchute.recipient (seq, position, kind, email, name) values (new_seq, 0, 'to', newest.to_email, newest.to_name);
  insert into mailchute.queue (seq, lane, due)
  select new_seq, m.lane, least(moment, statement_timestamp()) from mailchute.message m where m.seq = new_seq;
  return new_seq;
end $$;

-- All about one message but its content, as JSON; null if there is none. What becomes of an item, its digest says.
create function mailchute.describe(message_seq bigint) returns jsonb
language plpgsql stable as $$
declare
  described jsonb := mailchute.describe_mail(message_seq);
  carrier jsonb;
  item record;
begin
  select i.key, i.digest, m.id into item from mailchute.digest_item i left join mailchute.message m on m.seq = i.digest where i.seq = message_seq;
  if found then
    if item.digest <> message_seq then
      carrier := mailchute.describe_mail(item.digest);
      described := described || jsonb_strip_nulls(jsonb_build_object('state', carrier -> 'state', 'recipients', carrier -> 'recipients',
        'attempts', carrier -> 'attempts', 'nextAttemptAt', carrier -> 'nextAttemptAt'));
    end if;
    return described || jsonb_build_object('digest', jsonb_strip_nulls(jsonb_build_object('key', item.key, 'id', item.id)));
  end if;
  select d.key, d.items into item from mailchute.digest d where d.seq = message_seq;
  return case when found then described || jsonb_build_object('digest', jsonb_build_object('key', item.key, 'items', item.items)) else described end;
end $$;
