-- A batch can be paused, as streams and domains can: by the id of the batch, since its name belongs to an app and may be any text. And an app, with all its mail.
alter table mailchute.pause drop constraint pause_key_check;
alter table mailchute.pause add constraint pause_key_check
  check (key ~ '^(all|app=[A-Za-z0-9][A-Za-z0-9_.-]{0,62}|stream=[a-z0-9][a-z0-9._-]{0,62}|batch=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|domain=[^, ]{1,255})$');

-- Pauses a batch that fails too often; for relays, whose role may pause nothing else. One that is paused stays as it is.
create function mailchute.pause_batch(batch_id uuid, why text) returns void
language sql security definer set search_path = pg_catalog, mailchute, pg_temp as $$
  insert into mailchute.pause (key, reason) values ('batch=' || batch_id, why) on conflict (key) do nothing
$$;
