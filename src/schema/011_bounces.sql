-- What RELAY_ON_BOUNCE counts: mails that an address has refused, or kept waiting. Written only while that setting asks
-- for it.
create table mailchute.bounce (
  seq bigint not null,
  position smallint not null,
  app text not null,
  address text not null check (address = lower(address)),
  -- `hard`: there is no such mailbox; `soft`: it took this mail not, and may take another; `delayed`: it may yet take
  -- this one.
  kind text not null check (kind in ('hard', 'soft', 'delayed')),
  at timestamptz not null default now(),
  primary key (seq, position)
);
create index bounce_address on mailchute.bounce (address, app, at);
create index bounce_at on mailchute.bounce (at);

-- The soft bounces of an address that RELAY_ON_BOUNCE counts together. Postgres reads it as a part of the statement
-- that asks. Index: bounce_address.
create function mailchute.soft_bounces(wanted_address text, wanted_app text, within_ms float8) returns setof mailchute.bounce
language sql stable as $$
  select b.* from mailchute.bounce b
  where b.address = wanted_address and b.app = wanted_app and b.kind = 'soft' and b.at > now() - make_interval(secs => within_ms / 1000)
$$;

-- Puts addresses on the list of their apps that have refused mail for good, or too often: [{"address", "app", "hard",
-- "seconds": for so long; null: for good, "reason": bounce, if it is left out}, …]. What is there for good, or for
-- longer, stays as it is; but a mail that must go passes no address that does not exist, so a hard bounce takes the
-- place of a reason that it could pass, and only a person takes it off. Waits a moment for who else writes such an
-- address, and no longer: an app may have it in a transaction that is open for hours, and the outcomes of other mails
-- are written with this. Such an address is listed when it refuses the next mail.
create function mailchute.list_bounced(bounced jsonb) returns void
language plpgsql set lock_timeout = '100ms' as $$
declare
  found_one record;
begin
  -- In order: of two relays that have the same ones, each would otherwise wait for the other.
  for found_one in
    select x.address, 'app:' || x.app as scope, coalesce(x.reason, 'bounce') as reason, x.hard, now() + make_interval(secs => x.seconds) as ends
    from jsonb_to_recordset(bounced) as x(address text, app text, hard boolean, seconds float8, reason text) order by x.address, x.app
  loop
    begin
      insert into mailchute.suppression as s (address, scope, reason, until)
      values (found_one.address, found_one.scope, found_one.reason, found_one.ends)
      on conflict on constraint suppression_pkey do update
      set reason = excluded.reason, created_by = excluded.created_by,
        until = case when s.until is not null and excluded.until is not null then greatest(s.until, excluded.until) end
      where s.until is not null and (excluded.until is null or excluded.until > s.until)
        or mailchute.is_overridable(s.reason) and found_one.hard;
    exception when lock_not_available then
      -- Hundreds may be in the same transaction.
      perform set_config('lock_timeout', '1ms', true);
    end;
  end loop;
end $$;

-- Takes in what reports say of recipients of a mail: [{"position", "kind", "code", "enhanced", "reply", "reporter",
-- "says": what a refusal says about the address, as in bounce.kind; null: nothing that counts}, …]. rules: {"hardFor",
-- "softFor": milliseconds, "after", "within": milliseconds} as RELAY_ON_BOUNCE has them; null: nobody comes onto the
-- list. Answers in the same order with [{"isNews", "state": of the recipient now}, …]: a report that comes twice is
-- news once; null: retention has deleted the mail. That one came back who is being sent to just now is an error
-- (55006): it is to be said again later.
create function mailchute.note_feedback(message_seq bigint, reports jsonb, rules jsonb) returns jsonb
language plpgsql set enable_seqscan = off as $$
declare
  report record;
  recipient record;
  is_news boolean;
  is_listed boolean;
  counts boolean;
  noted jsonb := '[]';
begin
  -- First the row of the queue, then the message, then the recipients, as all who lock them: who settles, cancels or
  -- retries this mail waits at the first. The message is held against retention too, which would leave these rows
  -- without it.
  perform from mailchute.queue q where q.seq = message_seq for update;
  perform from mailchute.message m where m.seq = message_seq for no key update;
  if not found then
    return null;
  end if;
  for report in
    select * from jsonb_to_recordset(reports) as x(position smallint, kind text, code smallint, enhanced text, reply text, reporter text, says text)
  loop
    select lower(r.email) as address, m.app, r.state into recipient
    from mailchute.recipient r join mailchute.message m on m.seq = r.seq
    where r.seq = message_seq and r.position = report.position for update of r;
    -- Its relay has had an answer that is not on record yet: the recipient would become `sent` behind the report, and
    -- stay so.
    if report.kind = 'bounced' and recipient.state in ('queued', 'deferred')
      and exists (select from mailchute.queue q where q.seq = message_seq and q.leased_by is not null) then
      raise exception 'The mail is being sent just now: its report is taken in when what became of it is on record' using errcode = 'object_in_use';
    end if;
    insert into mailchute.feedback as f (seq, position, kind, code, enhanced, reply, reporter)
    values (message_seq, report.position, report.kind, report.code, report.enhanced, report.reply, report.reporter)
    -- A person has had it sent again since.
    on conflict (seq, position, kind) do update
    set code = excluded.code, enhanced = excluded.enhanced, reply = excluded.reply, reporter = excluded.reporter, at = excluded.at
    where f.at < (select max(a.at) from mailchute.attempt a where a.seq = f.seq and a.position = f.position);
    is_news := found;

    -- One that is open is tried again, or is held for a person, who sees the report.
    if is_news and report.kind = 'bounced' and recipient.state = 'sent' then
      update mailchute.recipient r set state = 'bounced', reason = 'Came back: ' || report.reply, changed_at = now()
      where r.seq = message_seq and r.position = report.position
      returning r.state into recipient.state;
    end if;

    is_listed := report.kind = 'complained';
    -- Taken in before without rules, it has not counted yet. What has counted does so once: a person may have taken the
    -- address off since.
    counts := rules is not null and (is_news or is_listed or report.says is not null and not exists (
      select from mailchute.bounce b where b.seq = message_seq and b.position = report.position and b.kind <> 'delayed'));
    if counts and report.says is not null then
      insert into mailchute.bounce (seq, position, app, address, kind)
      values (message_seq, report.position, recipient.app, recipient.address, report.says)
      on conflict (seq, position) do update set kind = excluded.kind, at = now();
      is_listed := report.says = 'hard' or (
        select count(*) >= (rules ->> 'after')::int
        from mailchute.soft_bounces(recipient.address, recipient.app, (rules ->> 'within')::float8));
    end if;
    if counts and is_listed then
      perform mailchute.list_bounced(jsonb_build_array(jsonb_build_object('address', recipient.address, 'app', recipient.app,
        'hard', report.says is distinct from 'soft',
        'reason', case when report.kind = 'complained' then 'complaint' end,
        'seconds', (rules ->> (case report.says when 'hard' then 'hardFor' when 'soft' then 'softFor' end))::float8 / 1000)));
    end if;
    noted := noted || jsonb_build_object('isNews', is_news, 'state', recipient.state);
  end loop;
  return noted;
end $$;
