-- An order and its mail from psql, or from any other language: psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f
-- examples/from_sql.sql
begin;

insert into orders (id, email) values ('01a200a0-1337-7e17-84cb-6f63d12a2969', 'ann@example.com');

-- It checks what it is given, and answers with the mail's id. The key makes a second run an error of the orders' alone.
select mailchute.send(jsonb_build_object(
  'from', 'Shop <hello@shop.example.com>',
  'to', 'ann@example.com',
  'subject', 'Your receipt',
  'text', 'Thank you!',
  'idempotencyKey', 'receipt/01a200a0-1337-7e17-84cb-6f63d12a2969'));

commit;
