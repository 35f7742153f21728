-- Templates that lie in the database. A mail that names one is made when it is enqueued, in the app's transaction: what
-- is in the queue is a finished mail (or the content of a batch), which no later version changes. Merging puts values
-- in the place of {{names}} and does nothing else, as in src/template.ts.

-- Every version that was saved. A version counts within a name and a language.
create table mailchute.template (
  app text not null,
  name text not null check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
  -- In lower case, such as 'de' or 'de-at'. '': of none, for all who ask for a language that is not there.
  language text not null check (language ~ '^([a-z]{2,3}(-[a-z0-9]{1,8}){0,4})?$'),
  version integer not null check (version > 0),
  subject text not null,
  -- As in a mail: without a text the relay makes one from the HTML, and '' asks for HTML alone.
  text text,
  html text,
  -- The {{names}} in all three: what a mail must bring.
  names text[] not null generated always as (mailchute.template_names(subject || ' ' || coalesce(text, '') || ' ' || coalesce(html, ''))) stored,
  created_at timestamptz not null default now(),
  created_by text not null default session_user,
  primary key (app, name, language, version)
);

-- The languages that serve who asks for one, the best first: de-AT, de, and none.
create function mailchute.language_chain(language text) returns text[]
language sql immutable parallel safe
return array(
  select array_to_string(p.parts[1:n.length], '-')
  from (select string_to_array(lower(replace(language, '_', '-') collate "C"), '-') as parts) p
  cross join lateral generate_series(cardinality(p.parts), 0, -1) as n(length)
  order by n.length desc);

-- Writes a text so that it means itself in HTML, in an attribute with quotes too.
create function mailchute.escape_html(value text) returns text
language sql immutable parallel safe
return replace(replace(replace(replace(replace(value, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;');

-- Puts values in the place of the names of a text, in which every {{ begins one (is_template). What stands in a value
-- is not read again.
create function mailchute.merge_template(template text, variables jsonb, in_html boolean) returns text
language sql immutable parallel safe
return case when strpos(template, '{{') = 0 then template else (
  select string_agg(case when p.place = 1 then p.piece
      else case when in_html then mailchute.escape_html(v.value) else v.value end || substr(p.piece, strpos(p.piece, '}}') + 2) end, '' order by p.place)
  from unnest(string_to_array(template, '{{')) with ordinality as p(piece, place)
  cross join lateral (select variables ->> btrim(split_part(p.piece, '}}', 1), E' \t\n\x0b\f\r') as value) v
) end;

-- Finds the template that a mail names as {"name", "language", "version"}, among those of its app.
create function mailchute.find_template(app_name text, wanted jsonb) returns mailchute.template
language plpgsql stable as $$
declare
  issues jsonb := '[]';
  languages text[];
  wanted_version integer;
  chosen mailchute.template;
  there text;
begin
  if jsonb_typeof(wanted) <> 'object' then
    perform mailchute.refuse($json$[{"path": "template", "message": "must be {\"name\", \"language\", \"version\", \"variables\"}"}]$json$);
  end if;
  select coalesce(jsonb_agg(jsonb_build_object('path', 'template.' || key, 'message', 'is not a field of a template in this version')), '[]') into issues
  from jsonb_object_keys(wanted) as k(key) where key <> all (array['name', 'language', 'version', 'variables']);
  if (wanted ->> 'name') is null then
    issues := issues || '{"path": "template.name", "message": "is missing"}';
  elsif jsonb_typeof(wanted -> 'name') <> 'string' then
    issues := issues || '{"path": "template.name", "message": "must be a string"}';
  end if;
  if (wanted ->> 'language') is not null and (jsonb_typeof(wanted -> 'language') <> 'string'
    or (wanted ->> 'language') !~ '^([A-Za-z]{2,3}([_-][A-Za-z0-9]{1,8}){0,4})?$') then
    issues := issues || '{"path": "template.language", "message": "must be a language such as de or de-AT"}';
  end if;
  if (wanted ->> 'version') is not null and (jsonb_typeof(wanted -> 'version') <> 'number' or (wanted ->> 'version') !~ '^[1-9][0-9]{0,8}$') then
    issues := issues || '{"path": "template.version", "message": "must be a whole number from 1"}';
  end if;
  if issues <> '[]' then
    perform mailchute.refuse(issues);
  end if;

  languages := mailchute.language_chain(coalesce(wanted ->> 'language', ''));
  wanted_version := (wanted ->> 'version')::integer;
  -- The language first, then the version. Index: template_pkey.
  select t.* into chosen from mailchute.template t
  where t.app = app_name and t.name = wanted ->> 'name' and t.language = any (languages)
  order by array_position(languages, t.language), t.version is distinct from wanted_version, t.version desc
  limit 1;
  if not found then
    there := (select string_agg(distinct t.language, ', ') from mailchute.template t where t.app = app_name and t.name = wanted ->> 'name');
    perform mailchute.refuse(jsonb_build_array(case when there is null
      then jsonb_build_object('path', 'template.name', 'message', 'is not a template of this app: mailchute template save stores one')
      else jsonb_build_object('path', 'template.language', 'message', 'is not there, and no text without a language either: there are ' || there) end));
  elsif chosen.version <> wanted_version then
    perform mailchute.refuse(jsonb_build_array(jsonb_build_object('path', 'template.version', 'message', format('is not there%s: the newest is %s',
      case when chosen.language = '' then '' else ' in ' || chosen.language end, chosen.version))));
  end if;
  return chosen;
end $$;

-- The faults of the values that a mail brings for a template. What it does not use may be there too: one set of values
-- serves all languages and versions.
create function mailchute.variable_issues(template mailchute.template, variables jsonb) returns jsonb
language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('path', 'template.variables' || f.path, 'message', f.message)), '[]')
  from (
    select '' as path, 'must be an object of strings and numbers' as message where jsonb_typeof(variables) <> 'object'
    union all
    select '', 'have more than 65,536 bytes'
    -- The text is always longer, and cheaper to measure.
    where case when jsonb_typeof(variables) = 'object' and octet_length(variables::text) > 65536
      then (select sum(octet_length(key) + octet_length(value)) from jsonb_each_text(variables)) > 65536 end
    union all
    select '.' || n.name, 'is missing' from unnest(template.names) as n(name) where jsonb_typeof(variables) = 'object' and (variables ->> n.name) is null
    union all
    select '.' || n.name, 'is neither a string nor a number' from unnest(template.names) as n(name)
    where jsonb_typeof(variables -> n.name) not in ('string', 'number', 'null')
    union all
    select '.' || n.name, 'has a line break or a control character, and stands in the subject'
    from unnest(mailchute.template_names(template.subject)) as n(name) where not mailchute.is_line(variables ->> n.name)
  ) f
$$;

-- Makes a mail of a request that names a template: its subject, text and HTML stand in the place of the name.
-- `variables` of null keeps the {{names}}.
create function mailchute.with_template(request jsonb, chosen mailchute.template, variables jsonb) returns jsonb
language plpgsql stable as $$
declare
  issues jsonb;
begin
  select coalesce(jsonb_agg(jsonb_build_object('path', field, 'message', 'does not go with template, which has its own')), '[]') into issues
  from unnest(array['subject', 'text', 'html']) as f(field) where (request ->> field) is not null;
  if variables is not null then
    issues := issues || mailchute.variable_issues(chosen, variables);
  end if;
  if issues <> '[]' then
    perform mailchute.refuse(issues);
  end if;
  return request - array['template', 'subject', 'text', 'html'] || jsonb_strip_nulls(case when variables is null
    then jsonb_build_object('subject', chosen.subject, 'text', chosen.text, 'html', chosen.html)
    else jsonb_build_object('subject', mailchute.merge_template(chosen.subject, variables, false),
      'text', mailchute.merge_template(chosen.text, variables, false), 'html', mailchute.merge_template(chosen.html, variables, true)) end);
end $$;

-- The request of one mail, with what its template makes of it.
create function mailchute.mail_of_template(request jsonb, app_name text) returns jsonb
language sql stable
return case when jsonb_typeof(request) <> 'object' then request when (request ->> 'template') is null then request - 'template'
  else mailchute.with_template(request, mailchute.find_template(app_name, request -> 'template'),
    coalesce(nullif(request -> 'template' -> 'variables', 'null'), '{}')) end;

-- What the mails of a batch share, with the content of its template; `template` says which version that is. A batch
-- that has begun keeps its content.
create function mailchute.batch_of_template(mail jsonb, app_name text, batch_id uuid, batch_name text) returns jsonb
language plpgsql stable as $$
declare
  begun record;
  chosen mailchute.template;
begin
  if jsonb_typeof(mail) <> 'object' then
    return mail;
  elsif (mail ->> 'template') is null then
    return mail - 'template';
  end if;
  if jsonb_typeof(mail -> 'template') = 'object' and mail -> 'template' ? 'variables' then
    perform mailchute.refuse('[{"path": "template.variables", "message": "is not a field of a batch: each recipient has their own"}]');
  end if;
  select b.mail -> 'template' as template, c.subject, c.text, c.html into begun
  from mailchute.batch b left join mailchute.content c on c.id = b.content_id
  where b.app = app_name and (b.id = batch_id or b.name = batch_name) order by b.name is not distinct from batch_name desc limit 1;
  if begun.template is not null and begun.subject is not null then
    chosen.subject := begun.subject;
    chosen.text := begun.text;
    chosen.html := begun.html;
    return mailchute.with_template(mail, chosen, null) || jsonb_build_object('template', begun.template);
  end if;
  chosen := mailchute.find_template(app_name, coalesce(begun.template, mail -> 'template'));
  return mailchute.with_template(mail, chosen, null)
    || jsonb_build_object('template', jsonb_build_object('name', chosen.name, 'language', chosen.language, 'version', chosen.version));
end $$;

-- The faults of a template that is to be saved.
create function mailchute.template_issues(name text, language text, subject text, text text, html text) returns jsonb
language sql immutable as $$
  select coalesce(jsonb_agg(jsonb_build_object('path', f.path, 'message', f.message)), '[]')
  from (
    select 'name' as path, 'must be 1 to 100 of A-Z a-z 0-9 . _ -, first a letter or digit' as message
    where name is null or name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'
    union all
    select 'language', 'must be a language such as de or de-AT, or empty' where language !~ '^([a-z]{2,3}(-[a-z0-9]{1,8}){0,4})?$'
    union all
    select 'subject', 'is missing' where subject is null
    union all
    select 'subject', 'must be one line without control characters, of at most 65,536 bytes' where not mailchute.is_line(subject) or octet_length(subject) > 65536
    union all
    select 'text', 'is missing, and html too' where text is null and html is null
    union all
    select b.path, 'has more than 10,000,000 bytes' from (values ('text', text), ('html', html)) as b(path, body) where octet_length(b.body) > 10000000
    union all
    select b.path, 'has {{ without a name like {{name}}' from (values ('subject', subject), ('text', text), ('html', html)) as b(path, body)
    where not mailchute.is_template(b.body)
  ) f
$$;

-- Tells whether somebody may send as this app. Who owns the schema does so without a row there, as the app of its own
-- name (owner_app); the name of any other role is no app's, though it may be taken for one.
create function mailchute.is_app(wanted text) returns boolean
language sql stable
return exists (select from mailchute.app a where a.name = wanted) or exists (
  select from pg_roles g join pg_namespace n on n.nspname = 'mailchute'
  where g.rolname = wanted and pg_has_role(g.oid, n.nspowner, 'member') and not exists (select from mailchute.app_role r where r.role = g.rolname));

-- Saves a template, as a new version unless it says what the newest says, and answers its version. `app`: null is the
-- caller's own. For the owner of the schema and mailchute_admin; an app's role that is allowed to EXECUTE it saves for
-- its own app.
create function mailchute.save_template(app text, name text, subject text, text text default null, html text default null, language text default '') returns integer
language plpgsql security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
declare
  own_app text := (select r.app from mailchute.app_role r where r.role = session_user);
  for_app text := coalesce(save_template.app, own_app, mailchute.owner_app());
  tag text := coalesce((mailchute.language_chain(save_template.language))[1], '');
  issues jsonb := mailchute.template_issues(name, tag, subject, text, html);
  newest mailchute.template;
  other record;
begin
  if for_app is distinct from own_app and not exists (
    select from pg_roles g where g.rolname in (current_user, 'mailchute_admin') and pg_has_role(session_user, g.oid, 'member')) then
    raise exception 'Role % may not save templates of the app %', session_user, for_app using errcode = 'MC002';
  end if;
  if not mailchute.is_app(for_app) then
    issues := jsonb_build_array(jsonb_build_object('path', 'app', 'message', format('is no app here: mailchute grants ROLE --app %s makes it', for_app))) || issues;
  end if;
  if issues <> '[]' then
    raise exception 'Cannot save the template %: % %', name, issues -> 0 ->> 'path', issues -> 0 ->> 'message' using errcode = 'MC001', detail = issues::text;
  end if;

  -- One at a time, so that two never take the same number. Nobody who sends waits for this.
  lock table mailchute.template in share row exclusive mode;
  select t.* into newest from mailchute.template t
  where t.app = for_app and t.name = save_template.name and t.language = tag order by t.version desc limit 1;
  if (newest.subject, newest.text, newest.html) is distinct from (save_template.subject, save_template.text, save_template.html) then
    insert into mailchute.template (app, name, language, version, subject, text, html)
    values (for_app, save_template.name, tag, coalesce(newest.version, 0) + 1, save_template.subject, save_template.text, save_template.html)
    returning * into newest;
  end if;
  for other in
    select distinct on (t.language) t.language, t.names from mailchute.template t
    where t.app = for_app and t.name = save_template.name and t.language <> tag order by t.language, t.version desc
  loop
    if other.names <> newest.names then
      raise notice 'Template % has other variables in language "%" (%) than in "%" (%)', newest.name, tag, array_to_string(newest.names, ', '),
        other.language, array_to_string(other.names, ', ');
    end if;
  end loop;
  return newest.version;
end $$;

-- What a template makes of values, as {"name", "language", "version", "subject", "text", "html"}: for people, before
-- they send it.
create function mailchute.preview_template(app text, template jsonb) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, mailchute, pg_temp set enable_seqscan = off as $$
declare
  chosen mailchute.template := mailchute.find_template(app, template);
begin
  return jsonb_build_object('name', chosen.name, 'language', chosen.language, 'version', chosen.version)
    || mailchute.with_template('{}', chosen, coalesce(nullif(template -> 'variables', 'null'), '{}'));
end $$;
