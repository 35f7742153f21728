-- The tables. `migrate` has created the schema, this is run as its owner, and search_path is pg_catalog, mailchute.
--
-- No foreign keys between the tables of a mail: rows are written only by the functions of this schema and by the relay,
-- purged together, and a key check on each insert would cost the apps a lock and a lookup per mail.

-- The version that the schema has, and the oldest program that may still work on it.
create table mailchute.schema_info (
  only_row boolean primary key default true check (only_row),
  version integer not null,
  oldest_program text not null,
  changed_at timestamptz not null default now()
);

-- Where this queue is drained, so that a copy of the database (a branch, a restored dump, a template) sends nothing a
-- second time. Written by the first relay that serves it; a relay that finds itself in another place claims nothing
-- until `mailchute adopt-copy` has decided.
create table mailchute.place (
  only_row boolean primary key default true check (only_row),
  -- Of the cluster; null where the relay's role may not call pg_control_system().
  system_identifier text,
  -- Of the database in its cluster: a copy beside the original has another one.
  database_oid oid not null,
  -- host:port/name, as relays have reached it; the newest first.
  addresses text[] not null,
  -- When the server was started that drained it last: the same server under another name is no copy.
  server_started_at timestamptz not null,
  since timestamptz not null default now()
);

-- What a column may hold. Domains and no CHECK of the tables: Postgres reads the text of a CHECK anew in every
-- statement, which took half of the time of an insert.
create domain mailchute.lane as smallint check (value between 0 and 2);
create domain mailchute.on_uncertain as text check (value in ('retry', 'hold'));
create domain mailchute.recipient_kind as text check (value in ('to', 'cc', 'bcc'));
create domain mailchute.recipient_state as text check (value in
  ('queued', 'deferred', 'held', 'sent', 'bounced', 'failed', 'expired', 'suppressed', 'canceled'));

-- Address patterns as patterns of LIKE; `*` stands for any run of characters. Folds ASCII only: in most locales lower()
-- makes an i of U+0130 and a k of U+212A, which are letters of another domain.
create function mailchute.like_patterns(patterns text[]) returns text[]
language sql immutable parallel safe
return array(
  select replace(replace(replace(replace(lower(p.pattern collate "C"), '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')
  from unnest(patterns) as p(pattern)
);

-- Who may enqueue. A database role acts for one app; an app has one or more roles.
create table mailchute.app (
  name text primary key check (name ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$'),
  -- Patterns for From, Sender and return path: 'ann@shop.example', '*@shop.example', '*'. Compared in lower case.
  senders text[] not null check (cardinality(senders) > 0),
  -- Patterns for recipients; null means anybody.
  recipients text[] check (cardinality(recipients) > 0),
  -- Whether its mails may ask to go to addresses that want none of them: suppressed as `unsubscribe` or `manual`, never
  -- as `bounce` or `complaint`.
  may_override_suppression boolean not null default false,
  -- Made ready for every enqueue.
  senders_like text[] not null generated always as (mailchute.like_patterns(senders)) stored,
  created_at timestamptz not null default now()
);

create table mailchute.app_role (
  role name primary key,
  app text not null references mailchute.app on update cascade on delete cascade
);
create index app_role_app on mailchute.app_role (app);

-- What a mail says; shared by the messages of a bulk send, never changed.
create table mailchute.content (
  id uuid primary key,
  subject text not null,
  text text,
  html text,
  -- [["Name", "value"], …], in the order given.
  headers jsonb not null default '[]',
  created_at timestamptz not null default now()
);

create table mailchute.attachment (
  content_id uuid not null,
  position smallint not null,
  filename text not null,
  content_type text not null,
  -- The Content-ID without angle brackets, for images that the HTML shows (cid:…).
  cid text,
  bytes bytea not null,
  primary key (content_id, position)
);
-- Attachments are mostly compressed already; uncompressed storage is faster and can be read in slices.
alter table mailchute.attachment alter column bytes set storage external;

-- What an app asked to send. Never changed, except that `reschedule` moves scheduled_at before the first attempt.
create table mailchute.message (
  seq bigint generated always as identity primary key,
  id uuid not null,
  app text not null,
  content_id uuid not null,
  idempotency_key text,
  -- SHA-256 of the request, kept with a key: the same key with another mail is an error.
  request_hash bytea,
  from_email text not null,
  from_name text,
  reply_to jsonb not null default '[]',
  return_path text,
  unsubscribe text,
  tags text[] not null default '{}',
  metadata jsonb not null default '{}',
  -- 0 high, 1 normal, 2 low.
  lane mailchute.lane not null,
  on_uncertain mailchute.on_uncertain,
  -- The flow that it belongs to, with its own pause, rate and route; null means none.
  stream text,
  scheduled_at timestamptz,
  expires_at timestamptz,
  -- How long after it is due that is, in seconds, where its stream has said it; null: the app has, or nobody.
  expires_after integer,
  created_at timestamptz not null default statement_timestamp(),
  -- Of a bulk send: which, and who in it. Its content is shared, and has {{names}} for these values ({"name":
  -- "value"}).
  batch bigint,
  batch_key text collate "C",
  variables jsonb,
  -- It goes to addresses that are suppressed as `unsubscribe` or `manual` too; null: as most mails, it does not.
  overrides_suppression boolean
);
-- Ids and idempotency keys belong to an app. `id` first, so that an operator finds a message by its id alone.
create unique index message_id on mailchute.message (id, app);
create unique index message_idempotency_key on mailchute.message (app, idempotency_key) where idempotency_key is not null;
-- Most contents are of one message, or of one batch, which knows its messages. Beside them there are tests of a batch:
-- one message with its content.
create index message_borrowed on mailchute.message (content_id) where batch is null and variables is not null;
-- Who has a mail of a batch has no second one of it: a bulk send that is run again adds who is missing.
create unique index message_batch on mailchute.message (batch, batch_key) where batch is not null;

-- A bulk send.
create table mailchute.batch (
  seq bigint generated always as identity primary key,
  -- Made by the client for the call that began it.
  id uuid not null,
  app text not null,
  -- What the app calls it; null: it gave no name, and the id stands for it.
  name text,
  content_id uuid not null,
  -- What its messages share beside their content: the request without it.
  mail jsonb not null,
  -- SHA-256 of the whole request: the same name with another mail is an error.
  request_hash bytea not null,
  -- The {{names}} of its content, and those of them that stand in a header, where no line break may.
  names text[] not null,
  line_names text[] not null,
  created_at timestamptz not null default statement_timestamp()
);
create unique index batch_id on mailchute.batch (id, app);
create unique index batch_name on mailchute.batch (app, name) where name is not null;

-- One address of a message, with a state of its own. docs/states.md tells what each state means.
create table mailchute.recipient (
  seq bigint not null,
  -- Counted from 0 over To, then Cc, then Bcc.
  position smallint not null,
  kind mailchute.recipient_kind not null,
  email text not null,
  name text,
  -- `scheduled` and `sending` are not stored: they follow from the message's schedule and the queue row's lease.
  state mailchute.recipient_state not null default 'queued',
  -- Why it is in this state, when no attempt says so.
  reason text,
  changed_at timestamptz not null default statement_timestamp(),
  primary key (seq, position)
) with (fillfactor = 85);
create index recipient_email on mailchute.recipient (lower(email), seq);

-- What the next hop said to each recipient in each attempt. Append-only.
create table mailchute.attempt (
  seq bigint not null,
  number integer not null check (number > 0),
  position smallint not null,
  outcome text not null check (outcome in ('sent', 'deferred', 'bounced', 'uncertain')),
  phase text not null,
  blame text not null,
  code smallint,
  enhanced text,
  reply text not null,
  route text not null,
  relay bigint not null,
  at timestamptz not null default now(),
  primary key (seq, number, position)
);

-- What was heard of a recipient after its mail was sent: by a report that came back as a mail (RFC 3464, RFC 5965, RFC
-- 8098). One row for each kind of news.
create table mailchute.feedback (
  seq bigint not null,
  position smallint not null,
  kind text not null check (kind in ('delivered', 'delayed', 'bounced', 'complained', 'opened')),
  code smallint,
  enhanced text,
  -- What the server said that could not deliver it, or what the report says instead.
  reply text not null,
  -- The server that reports.
  reporter text,
  at timestamptz not null default now(),
  primary key (seq, position, kind)
);

-- The messages that are not final: narrow, hot, and nothing else. A row exists exactly as long as a recipient is open.
create table mailchute.queue (
  seq bigint primary key,
  lane smallint not null,
  -- The schedule, the time of the next attempt, or while claimed the end of the lease; 'infinity' while held for a
  -- person.
  due timestamptz not null,
  -- Counts the claims. Every write of a relay names the lease that it holds (the fence).
  lease bigint not null default 0,
  -- Counts the attempts: numbered at claim, given back if the mail was not started.
  attempts integer not null default 0,
  -- The relay that holds it; null unless claimed. Not indexed: it changes with every claim.
  leased_by bigint,
  -- Of a message that must not be sent twice (hold): its holder may have written its final dot. Said before it is, so
  -- that whoever takes over from a holder that is lost knows.
  intent boolean not null default false,
  -- Taken over from a holder that was lost and may have sent it, and no attempt says so yet: the claim that took it
  -- over may not have been answered.
  unrecorded boolean not null default false,
  -- Nothing else is in flight in its relay: should that die now, this mail is to blame.
  alone boolean not null default false,
  -- At how many crashes of relays in a row it was in flight, since the last attempt that came to its end.
  crashes smallint not null default 0,
  -- When a person last asked to try again: its age counts from there.
  retried_at timestamptz,
  -- The throttle that it waits for, such as 'domain:example.com=300/m'. Claimed as soon as that has a token, and at the
  -- latest when it is due. Or the pauses, such as 'paused:stream=bulk': it is due when they end, or when it expires.
  -- Or, after 'relay:', why a Worker leaves it to a relay.
  throttle text
) with (
  fillfactor = 80,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_cost_delay = 0
);
create index queue_due on mailchute.queue (lane, due, seq);
create index queue_throttle on mailchute.queue (throttle, lane, seq) where throttle is not null;

-- Addresses that we do not mail.
create table mailchute.suppression (
  address text not null check (address = lower(address)),
  scope text not null default 'all',
  reason text not null,
  until timestamptz,
  created_at timestamptz not null default now(),
  created_by text not null default session_user,
  -- 'here', or the id of the home database from which relays have copied it. What was written here stays beside a copy,
  -- and holds as well.
  origin text not null default 'here',
  -- The transaction that wrote it last; relays find by it what to copy.
  changed xid8 not null default pg_current_xact_id(),
  primary key (address, scope, origin)
);

-- The rates that all relays keep together: one row for each limit, in the home database.
create table mailchute.throttle (
  key text primary key,
  -- When the bucket will be full.
  full_at timestamptz not null,
  -- What the last one who asked was given: its statement answers with it.
  granted float8 not null
) with (fillfactor = 50);

-- What is not to be begun for now: 'all', 'app=shop', 'stream=bulk', 'domain=example.com' or a batch, by its id, since
-- its name belongs to an app and may be any text. Relays read those of their home database, and keep them in all
-- databases that they serve.
create table mailchute.pause (
  key text primary key
    check (key ~ '^(all|app=[A-Za-z0-9][A-Za-z0-9_.-]{0,62}|stream=[a-z0-9][a-z0-9._-]{0,62}|batch=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|domain=[^, ]{1,255})$'),
  -- For people.
  reason text check (char_length(reason) between 1 and 500),
  since timestamptz not null default now(),
  by text not null default session_user
);

-- The relays that serve this database, one row for each start.
create table mailchute.relay (
  id bigint generated always as identity primary key,
  -- The identity of the state directory: a relay that starts again takes back what its predecessor held.
  instance uuid not null,
  host text not null,
  pid integer not null,
  version text not null,
  started_at timestamptz not null default now(),
  -- Until when it is known to live: the last heartbeat, or, of a relay that lets the database sleep, the end of its
  -- rest.
  heartbeat_at timestamptz not null default now(),
  -- True while it waits for the bell: only then does enqueue pay for NOTIFY.
  asleep boolean not null default false,
  -- Until when enqueue refuses because the queue is longer than RELAY_MAX_QUEUE. A time and no flag: when the relay
  -- that counts is gone, nobody would open the queue again.
  full_until timestamptz,
  stopped_at timestamptz
);
