-- A mail for each new order, whoever adds it: psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f examples/from_a_trigger.sql
-- Run it as the owner of the table. The mail is in the transaction of the insert, and needs the rights of whoever
-- inserts.
create function send_receipt() returns trigger language plpgsql as $$
begin
  perform mailchute.send(jsonb_build_object(
    'from', 'Shop <hello@shop.example.com>',
    'to', new.email,
    'subject', 'Your receipt',
    'text', 'Thank you!',
    'idempotencyKey', 'receipt/' || new.id));
  return null;
end
$$;

create trigger send_receipt after insert on orders for each row execute function send_receipt();
