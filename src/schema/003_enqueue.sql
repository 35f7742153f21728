-- What apps call. SECURITY DEFINER with a pinned search_path: a role needs EXECUTE here and no right on any table.
--
-- A body that is a text (as $$ … $$) is read by the session that runs it, and where standard_conforming_strings is off,
-- a backslash in '…' is gone then. So none stands there: what needs one is in quotes of dollars ($re$ … $re$), or says
-- [0-9]. A body after `return` is read once, by `migrate`, which sees to that setting.

-- The app of a login role without one: the schema's owner and its members, superusers among them, act for an app of
-- their own name. session_user and not current_user: in the functions that apps call, the latter is the owner.
create function mailchute.owner_app() returns name
language plpgsql stable as $$
begin
  if not pg_has_role(session_user, current_user, 'member') then
    raise exception 'Role % has no app here', session_user using errcode = 'MC002',
      hint = format('An administrator runs: mailchute grants %s --from ''*@your.domain''', session_user);
  end if;
  return session_user;
end $$;

-- Finds the app that the login role acts for.
create function mailchute.current_app() returns text
language plpgsql stable as $$
begin
  return coalesce((select r.app from mailchute.app_role r where r.role = session_user), mailchute.owner_app());
end $$;

-- Tells of a relay's row whether somebody has to ring for it. Its heart beats every 15 s, or is known until the end of
-- a rest. Twice as long as people are told that it lives (relay/queue/relay_row.ts): to ring for a dead one costs a
-- NOTIFY, and not to ring for a slow one lets a mail lie for RELAY_POLL.
create function mailchute.sleeps(asleep boolean, heartbeat_at timestamptz) returns boolean
language sql stable parallel safe
return asleep and heartbeat_at > statement_timestamp() - interval '2 minutes';

-- Rings only while a relay sleeps: NOTIFY takes a lock for the whole database at commit.
create function mailchute.ring_sleepers() returns void
language plpgsql as $$
begin
  if exists (select from mailchute.relay r where mailchute.sleeps(r.asleep, r.heartbeat_at)) then
    perform pg_notify('mailchute', '');
  end if;
end $$;

-- Raises one error with all issues, as JSON in its detail.
create function mailchute.refuse(issues jsonb) returns void
language plpgsql immutable as $$
begin
  raise exception 'Cannot enqueue the mail: %', concat_ws(' ', nullif(issues -> 0 ->> 'path', ''), issues -> 0 ->> 'message')
    using errcode = 'MC001', detail = issues::text;
end $$;

-- Tells of most requests that what every mail has (sender, one recipient, subject, text) is in order, in a tenth of the
-- time of the checks that name every fault. Never true when those find one; false says nothing.
create function mailchute.is_plain(request jsonb) returns boolean
language sql stable parallel safe
return coalesce(case when jsonb_typeof(request) = 'object' then
  request @@ $path$
    $.id.type() == "string" && $.id like_regex "^[0-9a-f-]+$"
    && $.from.type() == "object" && $.from.email.type() == "string"
    && $.from.email like_regex "^[A-Za-z0-9_]+([.+-][A-Za-z0-9_]+)*@([A-Za-z0-9]+(-+[A-Za-z0-9]+)*[.])+[A-Za-z]+$"
    && (!exists($.from.name) || $.from.name.type() == "string" && $.from.name like_regex "^[^\\u0001-\\u001f\\u007f]*$")
    && $.to.type() == "array" && $.to.size() == 1 && $.to[0].type() == "object" && $.to[0].email.type() == "string"
    && $.to[0].email like_regex "^[A-Za-z0-9_]+([.+-][A-Za-z0-9_]+)*@([A-Za-z0-9]+(-+[A-Za-z0-9]+)*[.])+[A-Za-z]+$"
    && (!exists($.to[0].name) || $.to[0].name.type() == "string" && $.to[0].name like_regex "^[^\\u0001-\\u001f\\u007f]*$")
    && !exists($.cc) && !exists($.bcc)
    && $.subject.type() == "string" && $.subject like_regex "^[^\\u0001-\\u001f\\u007f]*$"
    && (exists($.text) || exists($.html)) && (!exists($.text) || $.text.type() == "string") && (!exists($.html) || $.html.type() == "string")
  $path$
  -- A UUID: hyphens in their places and nowhere else.
  and request ->> 'id' like '________-____-____-____-____________' and octet_length(replace(request ->> 'id', '-', '')) = 32
  -- Below all limits: the longest label of a domain, the shortest of the names.
  and octet_length(request -> 'from' ->> 'email') < 64 and octet_length(request #>> '{to,0,email}') < 64
  and pg_column_size(request #> '{to,0}') < 998 and pg_column_size(request -> 'from') < 998
  and octet_length(request ->> 'subject') <= 65536
  and coalesce(octet_length(request ->> 'text'), 0) <= 10000000 and coalesce(octet_length(request ->> 'html'), 0) <= 10000000
end, false);

-- The faults of one request, but for who may send what to whom. `plain`: what is_plain says of it.
create function mailchute.request_issues(request jsonb, plain boolean) returns jsonb
language plpgsql stable as $$
declare
  issues jsonb := '[]';
begin
  if jsonb_typeof(request) = 'string' then
    return '[{"path": "", "message": "must be a JSON object, and is a string: a driver that knows jsonb quotes a text once more; write ::text::jsonb"}]';
  elsif jsonb_typeof(request) is distinct from 'object' then
    return '[{"path": "", "message": "must be a JSON object"}]';
  end if;
  if not plain then
    issues := mailchute.mail_issues(request);
  end if;
  -- Most mails have none of the rest, and are spared its checks.
  if request - array['id', 'from', 'to', 'subject', 'text', 'html'] <> '{}' then
    issues := issues || mailchute.option_issues(request);
    if (request ->> 'digest') is not null then
      issues := issues || mailchute.digest_issues(request);
    end if;
  end if;
  return issues;
end $$;

-- The faults of what every mail has, and of the number of its recipients.
create function mailchute.mail_issues(request jsonb) returns jsonb
language plpgsql immutable as $$
declare
  issues jsonb := '[]';
  from_issues jsonb;
  recipient_count integer;
begin
  if (request ->> 'id') !~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' or request ->> 'id' is null then
    issues := issues || '{"path": "id", "message": "must be a UUID"}';
  end if;
  if (request ->> 'subject') is null then
    issues := issues || '{"path": "subject", "message": "is missing"}';
  elsif jsonb_typeof(request -> 'subject') <> 'string' or not mailchute.is_line(request ->> 'subject') then
    issues := issues || '{"path": "subject", "message": "must be a string without line breaks and control characters"}';
  elsif octet_length(request ->> 'subject') > 65536 then
    issues := issues || '{"path": "headers", "message": "have more than 65,536 bytes together with the subject"}';
  end if;
  if (request ->> 'text') is null and (request ->> 'html') is null then
    issues := issues || '{"path": "text", "message": "is missing, and html too"}';
  end if;
  if jsonb_typeof(coalesce(request -> 'text', 'null')) <> all (array['string', 'null']) or octet_length(request ->> 'text') > 10000000 then
    issues := issues || '{"path": "text", "message": "must be a string of at most 10,000,000 bytes"}';
  end if;
  if jsonb_typeof(coalesce(request -> 'html', 'null')) <> all (array['string', 'null']) or octet_length(request ->> 'html') > 10000000 then
    issues := issues || '{"path": "html", "message": "must be a string of at most 10,000,000 bytes"}';
  end if;
  if jsonb_typeof(request -> 'from') is distinct from 'object' then
    issues := issues || $json${"path": "from", "message": "must be {\"email\", \"name\"}"}$json$;
  else
    from_issues := mailchute.mailbox_issues(jsonb_build_array(request -> 'from'), 'from');
    if from_issues <> '[]' then
      issues := issues || replace(from_issues::text, '"from.0', '"from')::jsonb;
    end if;
  end if;
  issues := issues || mailchute.mailbox_issues(request -> 'to', 'to');
  recipient_count := case jsonb_typeof(request -> 'to') when 'array' then jsonb_array_length(request -> 'to') else 0 end
    + case jsonb_typeof(request -> 'cc') when 'array' then jsonb_array_length(request -> 'cc') else 0 end
    + case jsonb_typeof(request -> 'bcc') when 'array' then jsonb_array_length(request -> 'bcc') else 0 end;
  if recipient_count = 0 then
    issues := issues || '{"path": "to", "message": "is missing, and cc and bcc too"}';
  elsif recipient_count > 500 then
    issues := issues || '{"path": "to", "message": "has more than 500 recipients together with cc and bcc"}';
  end if;
  return issues;
end $$;

-- The faults of what a request may have beside sender, recipients and text; and whatever it must not have.
create function mailchute.option_issues(request jsonb) returns jsonb
language plpgsql immutable as $$
declare
  issues jsonb := '[]';
  field text;
  header_bytes bigint;
  metadata_bytes bigint;
  metadata_lines boolean;
begin
  for field in select key from jsonb_object_keys(request) as k(key) where key <> all (array[
    'id', 'idempotencyKey', 'from', 'to', 'cc', 'bcc', 'replyTo', 'returnPath', 'subject', 'text', 'html', 'headers',
    'attachments', 'tags', 'metadata', 'priority', 'scheduledAt', 'expiresAt', 'onUncertain', 'unsubscribe', 'stream', 'digest', 'overrideSuppression'])
  loop
    issues := issues || jsonb_build_object('path', field, 'message', 'is not a field of a mail in this version');
  end loop;
  foreach field in array array['idempotencyKey', 'returnPath', 'unsubscribe', 'scheduledAt', 'expiresAt', 'stream'] loop
    if (request ->> field) is not null and jsonb_typeof(request -> field) <> 'string' then
      issues := issues || jsonb_build_object('path', field, 'message', 'must be a string');
    elsif not mailchute.is_line(request ->> field) then
      issues := issues || jsonb_build_object('path', field, 'message', 'has a line break or a control character');
    end if;
  end loop;
  foreach field in array array['cc', 'bcc', 'replyTo'] loop
    issues := issues || mailchute.mailbox_issues(request -> field, field);
  end loop;
  if jsonb_typeof(request -> 'replyTo') = 'array' and jsonb_array_length(request -> 'replyTo') > 50 then
    issues := issues || '{"path": "replyTo", "message": "has more than 50 addresses"}';
  end if;
  if (request ->> 'returnPath') <> '' and not mailchute.is_address(request ->> 'returnPath') then
    issues := issues || jsonb_build_object('path', 'returnPath', 'message', mailchute.address_problem(request ->> 'returnPath'));
  end if;

  issues := issues || mailchute.header_issues(request -> 'headers');
  header_bytes := coalesce(octet_length(request ->> 'subject'), 0);
  if jsonb_typeof(request -> 'headers') = 'array' then
    header_bytes := header_bytes + coalesce((select sum(octet_length(concat(h ->> 0, h ->> 1))) from jsonb_array_elements(request -> 'headers') as h), 0);
    if request ->> 'unsubscribe' is not null and exists (
      select from jsonb_array_elements(request -> 'headers') as h where lower(h ->> 0) = 'list-unsubscribe') then
      issues := issues || '{"path": "unsubscribe", "message": "writes the header List-Unsubscribe, which is there too"}';
    end if;
  end if;
  if header_bytes > 65536 then
    issues := issues || '{"path": "headers", "message": "have more than 65,536 bytes together with the subject"}';
  end if;

  if request -> 'tags' is not null and request -> 'tags' <> 'null' then
    if jsonb_typeof(request -> 'tags') <> 'array' or exists (
      select from jsonb_array_elements(request -> 'tags') as t(tag) where jsonb_typeof(tag) <> 'string') then
      issues := issues || '{"path": "tags", "message": "must be a list of strings"}';
    elsif jsonb_array_length(request -> 'tags') > 50 then
      issues := issues || '{"path": "tags", "message": "has more than 50 tags"}';
    elsif exists (select from jsonb_array_elements_text(request -> 'tags') as t(tag)
      where not mailchute.is_line(tag) or octet_length(tag) not between 1 and 256) then
      issues := issues || '{"path": "tags", "message": "must each have 1 to 256 bytes without control characters"}';
    end if;
  end if;
  if request -> 'metadata' is not null and request -> 'metadata' <> 'null' then
    if jsonb_typeof(request -> 'metadata') <> 'object' or exists (
      select from jsonb_each(request -> 'metadata') as m(key, value) where jsonb_typeof(value) <> 'string') then
      issues := issues || '{"path": "metadata", "message": "must be an object of strings"}';
    else
      select coalesce(sum(octet_length(key) + octet_length(value)), 0), coalesce(bool_and(mailchute.is_line(key) and mailchute.is_line(value)), true)
      into metadata_bytes, metadata_lines from jsonb_each_text(request -> 'metadata');
      if metadata_bytes > 16384 then
        issues := issues || '{"path": "metadata", "message": "has more than 16,384 bytes"}';
      end if;
      if not metadata_lines then
        issues := issues || '{"path": "metadata", "message": "has a line break or a control character"}';
      end if;
    end if;
  end if;
  if octet_length(request ->> 'idempotencyKey') not between 1 and 256 then
    issues := issues || '{"path": "idempotencyKey", "message": "must have 1 to 256 bytes"}';
  end if;
  if (request ->> 'unsubscribe') !~* '^(https://[^/]|mailto:[^?])' or (request ->> 'unsubscribe') !~ '^[!-;=?-~]+$' or octet_length(request ->> 'unsubscribe') > 900 then
    issues := issues || '{"path": "unsubscribe", "message": "must be an https: or mailto: URL of at most 900 characters"}';
  end if;
  if coalesce(request ->> 'priority', 'normal') <> all (array['high', 'normal', 'low']) then
    issues := issues || '{"path": "priority", "message": "must be high, normal or low"}';
  end if;
  if coalesce(request ->> 'onUncertain', 'retry') <> all (array['retry', 'hold']) then
    issues := issues || '{"path": "onUncertain", "message": "must be retry or hold"}';
  end if;
  if coalesce(jsonb_typeof(request -> 'overrideSuppression'), 'null') <> all (array['boolean', 'null']) then
    issues := issues || '{"path": "overrideSuppression", "message": "must be true or false"}';
  end if;
  if (request ->> 'stream') !~ '^[a-z0-9][a-z0-9._-]{0,62}$' then
    issues := issues || '{"path": "stream", "message": "must be 1 to 63 of a-z 0-9 . _ -, first a letter or digit"}';
  end if;
  foreach field in array array['scheduledAt', 'expiresAt'] loop
    if (request ->> field) !~ '^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})$' then
      issues := issues || jsonb_build_object('path', field, 'message', 'must be an ISO 8601 time with a zone');
    end if;
  end loop;
  return issues || mailchute.attachment_issues(request -> 'attachments');
end $$;

-- The faults of attachments ({"filename", "contentType", "contentId", "base64"}), as issues.
create function mailchute.attachment_issues(attachments jsonb) returns jsonb
language plpgsql immutable as $$
declare
  issues jsonb := '[]';
  item jsonb;
  place text;
  number integer := 0;
  base64_bytes bigint := 0;
begin
  if attachments is null or attachments = 'null' then
    return issues;
  end if;
  if jsonb_typeof(attachments) <> 'array' then
    return '[{"path": "attachments", "message": "must be a list"}]';
  end if;
  for item in select value from jsonb_array_elements(attachments) loop
    place := 'attachments.' || number;
    number := number + 1;
    if jsonb_typeof(item -> 'base64') is distinct from 'string' then
      issues := issues || jsonb_build_object('path', place || '.content', 'message', 'is missing');
    else
      base64_bytes := base64_bytes + octet_length(item ->> 'base64');
    end if;
    if jsonb_typeof(item -> 'filename') is distinct from 'string' or not mailchute.is_line(item ->> 'filename')
      or mailchute.utf16_length(item ->> 'filename') not between 1 and 255 then
      issues := issues || jsonb_build_object('path', place || '.filename', 'message', 'must have 1 to 255 characters without control characters');
    end if;
    if coalesce(item ->> 'contentType', '') !~ $re$^[!#$&^_.+A-Za-z0-9-]+/[!#$&^_.+A-Za-z0-9-]+( *; *([!#$%&*+.^_A-Za-z0-9-]+=("([ !#-[\]^-~]|]|\\[ -~])*"|[!#$%&*+.^_A-Za-z0-9-]+))?)* *\Z$re$
      or octet_length(item ->> 'contentType') > 500 then
      issues := issues || jsonb_build_object('path', place || '.contentType', 'message', 'must be a MIME type such as application/pdf');
    end if;
    if (item ->> 'contentId') !~ '^[!-;=?-~]{1,250}$' then
      issues := issues || jsonb_build_object('path', place || '.contentId', 'message', 'must have 1 to 250 printable ASCII characters, without < and >');
    end if;
  end loop;
  if number > 500 then
    issues := issues || '{"path": "attachments", "message": "has more than 500 entries"}';
  end if;
  -- Four characters carry three bytes; the exact size is checked when they are decoded.
  if base64_bytes > 33333400 then
    issues := issues || '{"path": "attachments", "message": "have more than 25,000,000 bytes"}';
  end if;
  return issues;
end $$;
