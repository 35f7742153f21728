-- The tables that the examples share: psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f examples/tables.sql
create table orders (
  id uuid primary key,
  email text not null,
  ordered_at timestamptz not null default now()
);
create table auth_links (
  user_id text,
  email text not null,
  subject text not null,
  sent_at timestamptz not null default now()
);
create table campaigns (name text primary key);
create table reports (day date primary key);
