-- Rows of another queue's table that are sent from this one (`mailchute adopt`), until they are final there too. The
-- row and its message are written in one transaction, so that nothing is taken twice, whoever dies when.
create table mailchute.adopted (
  -- The table, such as 'public.email_relay_message'.
  source text not null,
  row_id bigint not null,
  app text not null,
  message_id uuid not null,
  -- The row as it was last seen or written: when it is different, somebody else works on it.
  status smallint not null,
  retry_count integer not null,
  updated_at timestamptz not null,
  -- Its retries before it came here, and the attempts here that are written in it.
  first_retries integer not null,
  attempts integer not null default 0,
  adopted_at timestamptz not null default now(),
  primary key (source, row_id)
);
