-- Suppressions of scope `all` that are written in a home database hold in every database that its relays serve: relays
-- copy them there.
--
-- What is new is told by transactions and not by times: a relay keeps, in the database that has the copy, the last
-- snapshot of home from which everything was copied, and asks for what it did not see. So a transaction that commits
-- late is not missed, and no clock matters.

-- What a database is to others as their home; made by the first relay whose home it is.
create table mailchute.suppression_home (
  only_row boolean primary key default true check (only_row),
  -- Of whom a copy is.
  id uuid not null default gen_random_uuid(),
  -- Another one makes relays compare the whole list: `update mailchute.suppression_home set epoch = gen_random_uuid()`.
  epoch uuid not null default gen_random_uuid(),
  -- The newest removal that is recorded no more: who has not seen that one has to compare the whole list.
  forgotten xid8 not null default '0'
);

-- What was taken off the list of scope `all` here, for those who have a copy; for 30 days.
create table mailchute.suppression_removal (
  removed xid8 not null default pg_current_xact_id(),
  address text not null,
  at timestamptz not null default now(),
  primary key (removed, address)
);
create index suppression_removal_at on mailchute.suppression_removal (at);

-- How far the copy of a home's list is that stands here: one row for each home.
create table mailchute.suppression_copy (
  -- As in mailchute.suppression.
  origin text primary key,
  -- host/name of that database, for people.
  home text not null,
  -- All that this snapshot of home sees was copied, and in which life of that database it was taken; null: not yet.
  seen text,
  epoch text,
  -- What is being copied, and how far that is; null: nothing.
  pass jsonb,
  -- The fence: who copies names the one that it has read.
  version bigint not null default 0,
  changed_at timestamptz not null default now()
);

create index suppression_changed on mailchute.suppression (changed, address) where scope = 'all' and origin = 'here';

-- In which life a database is. Its transactions are counted anew in a restored dump, and back to where they were after
-- a restore to an earlier time or a failover that has lost some: then a snapshot that was taken before says nothing.
create function mailchute.suppression_epoch() returns text
language plpgsql stable security definer set search_path = pg_catalog, mailchute, pg_temp as $$
declare
  place text := (select h.epoch from mailchute.suppression_home h) || '/' || (select d.oid from pg_database d where d.datname = current_database());
begin
  return place || '/' || (select s.system_identifier from pg_control_system() s) || '/' || (select c.timeline_id from pg_control_checkpoint() c);
exception when insufficient_privilege or undefined_function or feature_not_supported then
  -- Some hosted ones let nobody ask.
  return place;
end $$;

-- Notes who wrote a row last, and rings for relays. One that says the same again has not changed.
create function mailchute.note_suppression() returns trigger
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp as $$
begin
  if tg_op = 'UPDATE' and old is not distinct from new then
    return new;
  end if;
  new.changed := pg_current_xact_id();
  perform pg_notify('mailchute_suppression', '');
  return new;
end $$;
create trigger suppression_noted before insert or update on mailchute.suppression
for each row when (new.scope = 'all' and new.origin = 'here') execute function mailchute.note_suppression();

create function mailchute.note_removal() returns trigger
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp as $$
begin
  insert into mailchute.suppression_removal (address) values (old.address) on conflict do nothing;
  perform pg_notify('mailchute_suppression', '');
  return null;
end $$;
create trigger suppression_removed after delete on mailchute.suppression
for each row when (old.scope = 'all' and old.origin = 'here') execute function mailchute.note_removal();
create trigger suppression_moved after update on mailchute.suppression
for each row when (old.scope = 'all' and old.origin = 'here' and (new.address, new.scope, new.origin) is distinct from (old.address, old.scope, old.origin))
execute function mailchute.note_removal();

create function mailchute.note_truncation() returns trigger
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp as $$
begin
  update mailchute.suppression_home set epoch = gen_random_uuid();
  perform pg_notify('mailchute_suppression', '');
  return null;
end $$;
create trigger suppression_truncated after truncate on mailchute.suppression for each statement execute function mailchute.note_truncation();
