-- Checks on what apps hand in. Not every caller is our client: these hold for a trigger in plain SQL too.

-- Tells whether a text can stand in a header or in an SMTP command: no control character. (Postgres text holds no NUL.)
create function mailchute.is_line(value text) returns boolean
language sql immutable parallel safe
return value !~ E'[\\u0001-\\u001f\\u007f]';

-- How long a text is for JavaScript, in which the client and the relay count: an emoji is two characters there.
create function mailchute.utf16_length(value text) returns integer
language sql immutable parallel safe
return char_length(value) + char_length(regexp_replace(value, '[^\U00010000-\U0010ffff]', '', 'g'));

-- Tells whether a text is one mail address, with the rules of the relay (src/address.ts): RFC 5321 sections 4.1.2 and
-- 4.1.3 with UTF-8 (RFC 6531), sizes of section 4.5.3.1; no @ < > in quotes; no invisible characters; no name that ends
-- in a number (RFC 3696 section 2).
create function mailchute.is_utf8_address(value text) returns boolean
language sql immutable parallel safe
return value ~ ('^([A-Za-z0-9_!#$%&''*+/=?^`{|}~\u0080-\U0010ffff-]+(\.[A-Za-z0-9_!#$%&''*+/=?^`{|}~\u0080-\U0010ffff-]+)*|"[^"\\<>@\u0001-\u001f\u007f]+")'
    || '@([A-Za-z0-9_\u0080-\U0010ffff-]+(\.[A-Za-z0-9_\u0080-\U0010ffff-]+)*|\[[0-9]{1,3}(\.[0-9]{1,3}){3}\]|\[IPv6:[0-9A-Fa-f:.]+\])$')
  -- Invisible characters; labels with a hyphen at an end; a name that ends in a number.
  and value !~ ('[\u0080-\u00a0\u00ad\u061c\u1680\u180e\u2000-\u200b\u200e\u200f\u2028-\u202f\u205f-\u2064\u2066-\u206f\u3000\ufeff\ufff9-\ufffb]'
    || '|@([^@]*\.)?-|-(\.[^@]*)?$|[@.]([0-9]+|0[xX][0-9a-fA-F]*)$')
  -- Counted only where it matters, which is hardly ever.
  and (octet_length(value) < 64 or (octet_length(value) <= 254
    and octet_length(regexp_replace(value, '@[^@]*$', '')) <= 64 and value !~ '[^.@]{64}[^@]*$'));

-- The same for an address that mail goes to or comes from: its domain is in ASCII, as the client writes it (IDNA). In
-- two spellings, whoever has unsubscribed by one would get mail by the other.
create function mailchute.is_address(value text) returns boolean
language sql immutable parallel safe
return mailchute.is_utf8_address(value) and value !~ '@[^@]*[^\u0001-\u007f][^@]*$';

-- The name and the address in 'Ann <a@b>' (RFC 5322 section 3.4), its name in quotes or without specials, as it stands
-- there; null: it is no such mailbox.
create function mailchute.split_mailbox(value text) returns text[]
language sql immutable parallel safe
return regexp_match(value, '^\s*("(?:[^"\\]|\\.)*"|[^]"(),:;<>@[\\]*)\s*<([^<>]*)>\s*$');

-- The address in 'a@b' or 'Ann <a@b>'; what is no such mailbox comes back as it is.
create function mailchute.mailbox_email(value text) returns text
language sql immutable parallel safe
return coalesce((mailchute.split_mailbox(value))[2], trim(value));

-- What is said of what is no address.
create function mailchute.address_problem(value text) returns text
language sql immutable parallel safe
return case when value ~ '@[^@]*[^\u0001-\u007f][^@]*$' then 'is not a mail address: its domain must be in ASCII (xn--…)' else 'is not a mail address' end;

-- Tells whether an address matches one of the patterns.
create function mailchute.address_matches(address text, patterns text[]) returns boolean
language sql immutable parallel safe
return coalesce(lower(address collate "C") like any (mailchute.like_patterns(patterns)), false);

-- The faults of a list of mailboxes ({"email", "name"}), as issues.
create function mailchute.mailbox_issues(list jsonb, path text) returns jsonb
language plpgsql immutable parallel safe as $$
declare
  issues jsonb := '[]';
  item jsonb;
  place text;
  number integer := 0;
begin
  if list is null or list = 'null' then
    return issues;
  end if;
  if jsonb_typeof(list) <> 'array' then
    return jsonb_build_array(jsonb_build_object('path', path, 'message', 'must be a list of {"email", "name"}'));
  end if;
  for item in select value from jsonb_array_elements(list) loop
    place := path || '.' || number;
    number := number + 1;
    if jsonb_typeof(item) <> 'object' or jsonb_typeof(item -> 'email') is distinct from 'string'
      or not mailchute.is_address(item ->> 'email') then
      issues := issues || jsonb_build_object('path', place, 'message', mailchute.address_problem(item ->> 'email'));
    end if;
    if jsonb_typeof(item) = 'object' and (item ->> 'name') is not null
      and (jsonb_typeof(item -> 'name') <> 'string' or not mailchute.is_line(item ->> 'name')
        or mailchute.utf16_length(item ->> 'name') > 998) then
      issues := issues || jsonb_build_object('path', place || '.name', 'message', 'must be at most 998 characters without control characters');
    end if;
  end loop;
  return issues;
end $$;

-- The faults of custom headers ([["Name", "value"], …]), as issues.
create function mailchute.header_issues(headers jsonb) returns jsonb
language plpgsql immutable parallel safe as $$
declare
  issues jsonb := '[]';
  item jsonb;
  place text;
  number integer := 0;
begin
  if headers is null or headers = 'null' then
    return issues;
  end if;
  if jsonb_typeof(headers) <> 'array' then
    return jsonb_build_array(jsonb_build_object('path', 'headers', 'message', 'must be a list of ["Name", "value"]'));
  end if;
  for item in select value from jsonb_array_elements(headers) loop
    place := 'headers.' || number;
    number := number + 1;
    if jsonb_typeof(item) <> 'array' or jsonb_array_length(item) <> 2
      or jsonb_typeof(item -> 0) <> 'string' or jsonb_typeof(item -> 1) <> 'string' then
      issues := issues || jsonb_build_object('path', place, 'message', 'must be ["Name", "value"]');
    elsif (item ->> 0) !~ '^[!-9;-~]{1,76}$' then
      issues := issues || jsonb_build_object('path', place, 'message', 'has a name that is not printable ASCII without a colon');
    elsif lower(item ->> 0) ~ '^(from|to|cc|bcc|reply-to|subject|date|message-id|return-path|list-unsubscribe-post|received|(mime|content|resent|received|dkim|arc|authentication)-.*)$' then
      issues := issues || jsonb_build_object('path', place, 'message', 'is a header that mailchute writes itself: ' || (item ->> 0));
    elsif not mailchute.is_line(item ->> 1) then
      issues := issues || jsonb_build_object('path', place, 'message', 'has a value with a line break or a control character');
    end if;
  end loop;
  if issues = '[]' and exists (select from jsonb_array_elements(headers) as h(pair)
    where lower(pair ->> 0) in ('in-reply-to', 'references', 'list-unsubscribe') group by lower(pair ->> 0) having count(*) > 1) then
    issues := '[{"path": "headers", "message": "have a header twice that may be there once"}]';
  end if;
  return issues;
end $$;

-- Not a whole command: that would take from the app what it does not name.
create function mailchute.grants_hint(missing text) returns text
language sql immutable parallel safe
return 'An administrator allows it with mailchute grants, which replaces what the app has: ' || missing || ' beside all that it has already';

-- Refuses a request whose senders or recipients the app's allow-lists do not name.
create function mailchute.check_allowed(request jsonb, app text, senders text[], recipients text[]) returns void
language plpgsql immutable as $$
declare
  field text;
  address text;
begin
  if senders <> array['*'] then
    for field, address in
      select 'from', request -> 'from' ->> 'email'
      union all select 'returnPath', request ->> 'returnPath' where request ->> 'returnPath' <> ''
      -- One mailbox (RFC 5322 section 3.6.2), its name in quotes or without specials: what is no such mailbox matches
      -- nobody.
      union all select 'headers.Sender', mailchute.mailbox_email(h ->> 1)
        from jsonb_array_elements(coalesce(nullif(request -> 'headers', 'null'), '[]')) as h where lower(h ->> 0) = 'sender'
    loop
      if not mailchute.is_address(address) or not mailchute.address_matches(address, senders) then
        raise exception 'App % may not send as %', app, address using errcode = 'MC002',
          detail = jsonb_build_array(jsonb_build_object('path', field, 'message', 'is not one of the app''s senders'))::text,
          hint = mailchute.grants_hint('--from ' || quote_literal(address));
      end if;
    end loop;
  end if;
  -- After the allow-list, so that a foreign sender is told first. Only one mailbox is sure to be read alike by
  -- everybody (RFC 5322 section 3.6.2).
  if exists (select from jsonb_array_elements(coalesce(nullif(request -> 'headers', 'null'), '[]')) as h where lower(h ->> 0) = 'sender'
    having count(*) > 1 or not bool_and(mailchute.is_utf8_address(mailchute.mailbox_email(h ->> 1)))) then
    perform mailchute.refuse('[{"path": "headers.Sender", "message": "is not one mail address"}]');
  end if;
  -- As src/address.ts, by which the relay reads it: it would fail there. What a header says else may be of any length
  -- that header_bytes allows.
  if exists (select from jsonb_array_elements(coalesce(nullif(request -> 'headers', 'null'), '[]')) as h where lower(h ->> 0) = 'sender'
    and (mailchute.utf16_length(trim(h ->> 1)) > 998 + 254 or mailchute.utf16_length(mailchute.to_mailbox(h -> 1) ->> 'name') > 998)) then
    perform mailchute.refuse('[{"path": "headers.Sender", "message": "has a name of more than 998 characters"}]');
  end if;
  if recipients is not null then
    for field, address in
      select k.kind || '.' || (r.place - 1), r.item ->> 'email'
      from unnest(array['to', 'cc', 'bcc']) as k(kind)
      cross join lateral jsonb_array_elements(coalesce(nullif(request -> k.kind, 'null'), '[]')) with ordinality as r(item, place)
    loop
      if not mailchute.address_matches(address, recipients) then
        raise exception 'App % may not send to %', app, address using errcode = 'MC003',
          detail = jsonb_build_array(jsonb_build_object('path', field, 'message', 'is not one of the app''s recipients'))::text,
          hint = mailchute.grants_hint('--to ' || quote_literal(address));
      end if;
    end loop;
  end if;
end $$;

-- Reads an ISO 8601 time whose form has been checked; a month 13 is an issue of its field, and so is a zone that makes
-- the year 10000 of it, which the Date of a mail has no place for.
create function mailchute.to_time(value text, field text) returns timestamptz
language plpgsql stable as $$
begin
  if value::timestamptz >= '10000-01-01T00:00:00Z' then
    raise datetime_field_overflow;
  end if;
  return value::timestamptz;
exception when datetime_field_overflow or invalid_datetime_format or invalid_time_zone_displacement_value then
  perform mailchute.refuse(jsonb_build_array(jsonb_build_object('path', field, 'message', 'is not a time')));
end $$;
