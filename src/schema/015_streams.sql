-- Streams with settings: what a mail of them has that does not say otherwise. A name without a row here is a flow with
-- its own pause, rate and route, and nothing more.
create table mailchute.stream (
  name text not null check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  -- 'all', or 'app:shop': for the mails of that app, instead of the one for all.
  scope text not null default 'all' check (scope = 'all' or scope like 'app:_%'),
  -- 0 high, 1 normal, 2 low; null, here and below: as without a stream.
  lane mailchute.lane,
  -- From when a mail is due; in seconds, since a day of Postgres may have 23 hours.
  expires_after integer check (expires_after between 1 and 2678400),
  -- The waits after the first, second, … attempt, in seconds. The last one repeats, and an attempt is a row: so not
  -- each second for days.
  backoff integer[] check (cardinality(backoff) between 1 and 20 and array_position(backoff, null) is null
    and 1 <= all (backoff) and 86400 >= all (backoff) and backoff[cardinality(backoff)] >= 60),
  on_uncertain mailchute.on_uncertain,
  -- Whether its mails may wait for a digest.
  digest boolean not null default true,
  changed_at timestamptz not null default now(),
  changed_by text not null default session_user,
  primary key (name, scope)
);

insert into mailchute.stream (name, lane, expires_after, backoff, on_uncertain, digest) values
  -- A code is needed now or not at all; a second mail with it does no harm, and none locks somebody out.
  ('otp', 0, 600, '{5,15,30,60}', 'retry', false),
  ('transactional', 1, null, null, null, true),
  ('bulk', 2, 259200, '{900,1800,3600,7200,14400,28800}', null, true),
  ('alert', 0, 86400, '{5,15,30,60,300,900}', 'retry', true);

-- The settings of a stream for the mails of an app; no row: it has none. Postgres reads it as a part of the statement
-- that asks.
create function mailchute.stream_of(wanted_name text, wanted_app text) returns setof mailchute.stream
language sql stable
as $$
  select s.* from mailchute.stream s
  where s.name = wanted_name and s.scope in ('all', 'app:' || wanted_app) order by s.scope desc limit 1
$$;

-- How long after the end of its window a digest expires, in seconds: an item has no time of its own.
create function mailchute.stream_life(stream_name text, app text) returns integer
language sql stable
return (select s.expires_after from mailchute.stream_of(stream_name, app) s);

-- Sets a stream for the mails of this app, as {"priority": "high", "expires": "10m", "backoff": ["5s", "30s", "1m"],
-- "onUncertain": "retry", "digest": false}: what is left out is as without a stream. null takes it away: the one for
-- all, if there is one, holds again.
create function mailchute.set_stream_v1(name text, settings jsonb) returns void
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
#variable_conflict use_variable
declare
  own_scope text := 'app:' || mailchute.current_app();
  issues jsonb := '[]';
  field text;
  expires integer := extract(epoch from mailchute.digest_span(settings ->> 'expires'));
  waits integer[];
begin
  if name is null or name !~ '^[a-z0-9][a-z0-9._-]{0,62}$' then
    issues := issues || '{"path": "name", "message": "must be 1 to 63 of a-z 0-9 . _ -, first a letter or digit"}';
  end if;
  if coalesce(jsonb_typeof(settings), 'null') <> all (array['object', 'null']) then
    issues := issues || $json${"path": "settings", "message": "must be an object such as {\"priority\": \"high\", \"expires\": \"10m\"}, or null"}$json$;
  elsif jsonb_typeof(settings) = 'object' then
    for field in select k.key from jsonb_object_keys(settings) as k(key)
      where k.key <> all (array['priority', 'expires', 'backoff', 'onUncertain', 'digest'])
    loop
      issues := issues || jsonb_build_object('path', field, 'message', 'is not a setting of a stream');
    end loop;
    if coalesce(settings ->> 'priority', 'normal') <> all (array['high', 'normal', 'low']) then
      issues := issues || '{"path": "priority", "message": "must be high, normal or low"}';
    end if;
    if (settings ->> 'expires') is not null and expires is null then
      issues := issues || '{"path": "expires", "message": "must be a time of 1s to 31d, such as 90s, 10m, 1h or 3d"}';
    end if;
    if jsonb_typeof(settings -> 'backoff') = 'array' then
      waits := array(select extract(epoch from mailchute.digest_span(w.wait))::integer
        from jsonb_array_elements_text(settings -> 'backoff') with ordinality as w(wait, place) order by w.place);
    end if;
    if coalesce(settings -> 'backoff', 'null') <> 'null' and (cardinality(waits) between 1 and 20 and array_position(waits, null) is null
      and 86400 >= all (waits) and waits[cardinality(waits)] >= 60) is not true then
      issues := issues || '{"path": "backoff", "message": "must be 1 to 20 times such as 5s, 30s or 5m, each at most 1d, the last at least 1m since it repeats"}';
    end if;
    if coalesce(settings ->> 'onUncertain', 'retry') <> all (array['retry', 'hold']) then
      issues := issues || '{"path": "onUncertain", "message": "must be retry or hold"}';
    end if;
    if coalesce(jsonb_typeof(settings -> 'digest'), 'null') <> all (array['boolean', 'null']) then
      issues := issues || '{"path": "digest", "message": "must be true or false"}';
    end if;
  end if;
  if issues <> '[]' then
    raise exception 'Cannot set the stream: % %', issues -> 0 ->> 'path', issues -> 0 ->> 'message' using errcode = 'MC001', detail = issues::text;
  end if;

  if coalesce(settings, 'null') = 'null' then
    delete from mailchute.stream s where s.name = set_stream_v1.name and s.scope = own_scope;
    return;
  end if;
  insert into mailchute.stream (name, scope, lane, expires_after, backoff, on_uncertain, digest)
  values (name, own_scope, case settings ->> 'priority' when 'high' then 0 when 'normal' then 1 when 'low' then 2 end, expires, waits,
    settings ->> 'onUncertain', coalesce((settings ->> 'digest')::boolean, true))
  on conflict on constraint stream_pkey do update
    set lane = excluded.lane, expires_after = excluded.expires_after, backoff = excluded.backoff, on_uncertain = excluded.on_uncertain,
      digest = excluded.digest, changed_at = now(), changed_by = excluded.changed_by;
end $$;
