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
