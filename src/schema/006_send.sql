-- For people, triggers and any language: select mailchute.send('{"from": …, "to": …, "subject": …, "text": …}').

-- A UUIDv7 (RFC 9562 section 5.7): 48 bits of milliseconds, version, variant, the rest random.
create function mailchute.new_id() returns uuid
language sql volatile
return encode(
  set_bit(set_bit(
    overlay(uuid_send(gen_random_uuid()) placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid;

-- Reads 'a@b' or 'Ann <a@b>' or {"email", "name"} into {"email", "name"}; what it cannot read, such as two addresses,
-- goes through for the checks to name.
create function mailchute.to_mailbox(value jsonb) returns jsonb
language sql immutable parallel safe
return case when jsonb_typeof(value) <> 'string' then value else (
  select case when p.part is null then jsonb_build_object('email', trim(value #>> '{}'))
    when p.part[1] like '"%' then jsonb_build_object('email', trim(p.part[2]),
      'name', regexp_replace(substr(trim(p.part[1]), 2, length(trim(p.part[1])) - 2), '\\(.)', '\1', 'g'))
    else jsonb_build_object('email', trim(p.part[2]), 'name', trim(p.part[1])) end
  from (select mailchute.split_mailbox(value #>> '{}') as part) p) end;

-- One mailbox or a list of them, as a list.
create function mailchute.to_mailboxes(value jsonb) returns jsonb
language sql immutable parallel safe
return case
  when value is null or value = 'null' then '[]'
  when jsonb_typeof(value) = 'array' then coalesce((select jsonb_agg(mailchute.to_mailbox(m.item)) from jsonb_array_elements(value) as m(item)), '[]')
  else jsonb_build_array(mailchute.to_mailbox(value))
end;

-- Puts one mail into the queue, in the caller's transaction, and returns its id. Addresses may be written as people
-- write them, headers as an object; all other fields are those of enqueue_v1. It runs as its caller, so its names are
-- bound here and now: as a text they would be looked up in the caller's search_path, where another app may have put a
-- function or an operator of that name.
create function mailchute.send(request jsonb) returns uuid
language sql volatile
return (
  select e.id from mailchute.enqueue_v1(case when jsonb_typeof(request) = 'object' then
    jsonb_build_object('id', mailchute.new_id()) || (request - 'to' - 'cc' - 'bcc' - 'replyTo')
    || jsonb_build_object('from', mailchute.to_mailbox(request -> 'from'), 'to', mailchute.to_mailboxes(request -> 'to'),
      'cc', mailchute.to_mailboxes(request -> 'cc'), 'bcc', mailchute.to_mailboxes(request -> 'bcc'),
      'replyTo', mailchute.to_mailboxes(request -> 'replyTo'),
      'headers', case when jsonb_typeof(request -> 'headers') = 'object'
        then (select coalesce(jsonb_agg(jsonb_build_array(h.key, h.value)), '[]') from jsonb_each(request -> 'headers') as h)
        else coalesce(request -> 'headers', '[]') end)
    -- For the checks to name.
    else request end) e);
