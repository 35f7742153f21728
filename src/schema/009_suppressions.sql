-- What an app may say of addresses that are not to be mailed: in its own scope only.

-- How an address stands on the list: in lower case.
create function mailchute.suppressed_address(value text) returns text
language plpgsql immutable as $$
begin
  if value is null or not mailchute.is_address(value) then
    perform mailchute.refuse(jsonb_build_array(jsonb_build_object('path', 'address', 'message', coalesce(mailchute.address_problem(value), 'is missing'))));
  end if;
  return lower(value);
end $$;

-- What on the list keeps the mails of an app from an address, which is in lower case. Postgres reads it as a part of
-- the statement that asks, as long as it is one plain query; its arguments are of the default collation, since beside
-- another (a `name` has C) no index would fit. Enqueue looks by it; a claim looks again, with the scopes of a stream
-- and of senders too, which would cost each enqueue more (relay/suppression/rule.ts).
create function mailchute.listed_for(wanted_address text, wanted_app text) returns setof mailchute.suppression
language sql stable as $$
  select s.* from mailchute.suppression s
  where s.address = wanted_address and s.scope in ('all', 'app:' || wanted_app) and (s.until is null or s.until > statement_timestamp())
$$;

-- Tells whether a mail that must go may pass a suppression: no word of the address's owner or of a person can be, and
-- never what a server or a reader has said of us, since further mail would cost all of us our name. For the client's
-- tests src/suppression.ts says the same.
create function mailchute.is_overridable(reason text) returns boolean
language sql immutable parallel safe
return reason in ('unsubscribe', 'manual');

-- Refuses what only an app with the right may ask. Who has no app acts for the owner of the schema, who could change
-- the list.
create function mailchute.check_override(app text) returns void
language plpgsql stable as $$
begin
  if (select not a.may_override_suppression from mailchute.app_role r join mailchute.app a on a.name = r.app where r.role = session_user) then
    raise exception 'App % may not override the suppression list', app using errcode = 'MC006',
      detail = '[{"path": "overrideSuppression", "message": "is not allowed for this app"}]',
      hint = mailchute.grants_hint('--may-override-suppression');
  end if;
end $$;

-- Puts an address on the list, for this app; one that is there gets the new reason. A bounce or a complaint stays one:
-- else an app could make of it what it may override. One whose time is over is as if it were not there: else a reader's
-- word would be a bounce for good.
create function mailchute.suppress_v1(address text, reason text) returns void
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
#variable_conflict use_variable
begin
  if reason is null or reason not in ('manual', 'bounce', 'complaint', 'unsubscribe') then
    perform mailchute.refuse('[{"path": "reason", "message": "must be manual, bounce, complaint or unsubscribe"}]');
  end if;
  insert into mailchute.suppression as s (address, scope, reason)
  values (mailchute.suppressed_address(address), 'app:' || mailchute.current_app(), reason)
  on conflict on constraint suppression_pkey do update
    set reason = case when mailchute.is_overridable(excluded.reason) and not mailchute.is_overridable(s.reason) and (s.until <= statement_timestamp()) is not true
        then s.reason else excluded.reason end,
      created_at = case when s.until <= statement_timestamp() then excluded.created_at else s.created_at end,
      created_by = case when s.until <= statement_timestamp() then excluded.created_by else s.created_by end,
      until = null;
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
    from mailchute.listed_for(wanted, caller_app) s
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
