-- What RELAY_ON_BOUNCE counts: mails that an address has refused, or kept waiting. Written only while that setting asks for it.
create table mailchute.bounce (
  seq bigint not null,
  position smallint not null,
  app text not null,
  address text not null check (address = lower(address)),
  -- `hard`: there is no such mailbox; `soft`: it took this mail not, and may take another; `delayed`: it may yet take this one.
  kind text not null check (kind in ('hard', 'soft', 'delayed')),
  at timestamptz not null default now(),
  primary key (seq, position)
);
create index bounce_address on mailchute.bounce (address, app, at);
create index bounce_at on mailchute.bounce (at);

-- Puts addresses on the list of their apps that have refused mail for good, or too often: [{"address", "app", "hard", "seconds": for so long; null: for good}, …].
-- What is there for good, or for longer, stays as it is; but a mail that must go passes no address that does not exist, so a hard bounce takes the place of a
-- reason that it could pass, and only a person takes it off. Waits a moment for who else writes such an address, and no longer: an app may have it in a
-- transaction that is open for hours, and the outcomes of other mails are written with this. Such an address is listed when it refuses the next mail.
create function mailchute.list_bounced(bounced jsonb) returns void
language plpgsql set lock_timeout = '100ms' as $$
declare
  found_one record;
begin
  -- In order: of two relays that have the same ones, each would otherwise wait for the other.
  for found_one in
    select x.address, 'app:' || x.app as scope, x.hard, now() + make_interval(secs => x.seconds) as ends
    from jsonb_to_recordset(bounced) as x(address text, app text, hard boolean, seconds float8) order by x.address, x.app
  loop
    begin
      insert into mailchute.suppression as s (address, scope, reason, until)
      values (found_one.address, found_one.scope, 'bounce', found_one.ends)
      on conflict on constraint suppression_pkey do update
      set reason = excluded.reason, created_by = excluded.created_by,
        until = case when s.until is not null and excluded.until is not null then greatest(s.until, excluded.until) end
      where s.until is not null and (excluded.until is null or excluded.until > s.until)
        or s.reason in ('unsubscribe', 'manual') and found_one.hard;
    exception when lock_not_available then
      -- Hundreds may be in the same transaction.
      perform set_config('lock_timeout', '1ms', true);
    end;
  end loop;
end $$;
