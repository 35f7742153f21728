-- What an app may say of addresses that are not to be mailed: in its own scope only.

-- How an address stands on the list: in lower case.
create function mailchute.suppressed_address(value text) returns text
language plpgsql immutable as $$
begin
  if value is null or not mailchute.is_address(value) then
    perform mailchute.refuse('[{"path": "address", "message": "is not a mail address"}]');
  end if;
  return lower(value);
end $$;

-- Puts an address on the list, for this app; one that is there gets the new reason.
create function mailchute.suppress_v1(address text, reason text) returns void
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
#variable_conflict use_variable
begin
  if reason is null or reason not in ('manual', 'bounce', 'complaint', 'unsubscribe') then
    perform mailchute.refuse('[{"path": "reason", "message": "must be manual, bounce, complaint or unsubscribe"}]');
  end if;
  insert into mailchute.suppression as s (address, scope, reason)
  values (mailchute.suppressed_address(address), 'app:' || mailchute.current_app(), reason)
  on conflict on constraint suppression_pkey do update set reason = excluded.reason, until = null;
end $$;

-- Why an address gets no mail of this app, as {"address", "reason", "scope", "createdAt", "until"}; null: it does.
create function mailchute.suppression_v1(address text) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
declare
  caller_app text := mailchute.current_app();
  wanted text := mailchute.suppressed_address(address);
begin
  return (
    select jsonb_strip_nulls(jsonb_build_object('address', s.address, 'reason', s.reason, 'scope', split_part(s.scope, ':', 1),
      'createdAt', s.created_at, 'until', s.until))
    from mailchute.suppression s
    where s.address = wanted and s.scope in ('all', 'app:' || caller_app) and (s.until is null or s.until > statement_timestamp())
    order by s.scope limit 1);
end $$;

-- Takes an address off the list that this app has put there; false: it has not.
create function mailchute.unsuppress_v1(address text) returns boolean
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
declare
  caller_app text := mailchute.current_app();
  wanted text := mailchute.suppressed_address(address);
begin
  delete from mailchute.suppression s
  where s.address = wanted and s.scope = 'app:' || caller_app
    and (s.created_by = session_user or s.created_by in (select r.role from mailchute.app_role r where r.app = caller_app));
  return found;
end $$;
