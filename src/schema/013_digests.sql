-- How the items of 012_digest_items.sql become mails, and what is told of them.

-- Closes windows that have ended, of at most so many digests, for a second or so: what is due waits for it. Answers how
-- many were looked at, and when the next may have ended. Only one may do so at a time: a second one would make a second
-- digest of what was committed meanwhile. Who finds another at it answers 0.
create function mailchute.close_digests(most integer, moment timestamptz default statement_timestamp(), out looked integer, out next_at timestamptz)
language plpgsql set enable_seqscan = off as $$
declare
  found_group record;
begin
  looked := 0;
  if exists (select from mailchute.digest_item i where i.look_at <= moment) then
    begin
      -- Of the table, on which apps have no right, and in a mode that nobody else takes but a vacuum: anybody may take
      -- an advisory lock.
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

-- Closes the window of one digest if it has ended; for close_digests, which keeps others from doing the same. At most
-- 20,000 items go into one digest, and what is written at a time is bounded: of millions with one key, the rest has a
-- window of its own, and other digests go out in between.
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
