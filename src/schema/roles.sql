-- Who may do what. Run after every migration, as often as one likes; roles that could not be made are left out.
do $$
declare
  target record;
  entry text;
  apps text[] := array['enqueue_v1(jsonb)', 'enqueue_many_v1(jsonb)', 'send(jsonb)', 'status_v1(uuid)', 'cancel_v1(uuid)', 'reschedule_v1(uuid, timestamptz)',
    'batch_status_v1(text)', 'cancel_many_v1(jsonb)', 'suppress_v1(text, text)', 'suppression_v1(text)', 'unsuppress_v1(text)', 'set_stream_v1(text, jsonb)',
    'new_id()', 'split_mailbox(text)', 'to_mailbox(jsonb)', 'to_mailboxes(jsonb)'];
begin
  revoke all on schema mailchute from public;
  revoke all on all functions in schema mailchute from public;
  revoke all on all tables in schema mailchute from public;

  -- The group role for apps, and every role that `grants` named where the group could not be made.
  for target in
    select rolname as role from pg_roles where rolname = 'mailchute_client'
    union select r.role from mailchute.app_role r join pg_roles p on p.rolname = r.role
  loop
    execute format('grant usage on schema mailchute to %I', target.role);
    foreach entry in array apps loop
      execute format('grant execute on function mailchute.%s to %I', entry, target.role);
    end loop;
  end loop;

  for target in select rolname as role from pg_roles where rolname in ('mailchute_relay', 'mailchute_viewer', 'mailchute_admin') loop
    execute format('grant usage on schema mailchute to %I', target.role);
    execute format('grant select on mailchute.schema_info, mailchute.message, mailchute.recipient, mailchute.attempt, mailchute.feedback, mailchute.queue,
      mailchute.suppression, mailchute.suppression_copy, mailchute.batch, mailchute.digest, mailchute.digest_item, mailchute.relay, mailchute.place, mailchute.pause, mailchute.throttle,
      mailchute.app, mailchute.app_role, mailchute.template, mailchute.stream to %I', target.role);
    -- For the senders that a suppression is limited to; and a column of app is made with it.
    execute format('grant execute on function mailchute.like_patterns(text[]) to %I', target.role);
    execute format('grant execute on function mailchute.shown_state(text, boolean, timestamptz, integer),
      mailchute.message_state(text[]), mailchute.describe(bigint), mailchute.describe_mail(bigint), mailchute.preview_template(text, jsonb), mailchute.is_app(text),
      mailchute.listed_for(text, text) to %I', target.role);
  end loop;
  if exists (select from pg_roles where rolname = 'mailchute_relay') then
    grant select, insert, update, delete on mailchute.content, mailchute.attachment, mailchute.batch, mailchute.message, mailchute.recipient,
      mailchute.attempt, mailchute.feedback, mailchute.queue, mailchute.digest, mailchute.digest_item, mailchute.relay, mailchute.place, mailchute.throttle, mailchute.adopted, mailchute.bounce to mailchute_relay;
    grant insert, update on mailchute.suppression to mailchute_relay;
    -- What a home database says of all apps, and its copies elsewhere, which end as it says.
    grant delete on mailchute.suppression to mailchute_relay;
    grant select, insert, update, delete on mailchute.suppression_copy to mailchute_relay;
    grant select, insert, update on mailchute.suppression_home to mailchute_relay;
    grant select, delete on mailchute.suppression_removal to mailchute_relay;
    grant execute on function mailchute.suppression_epoch() to mailchute_relay;
    grant select on sequence mailchute.message_seq_seq to mailchute_relay;
    -- A batch that fails too often the relay pauses by itself; every other pause, and the end of one, is for people.
    grant execute on function mailchute.pause_batch(uuid, text) to mailchute_relay;
    grant execute on function mailchute.list_bounced(jsonb), mailchute.note_feedback(bigint, jsonb, jsonb),
      mailchute.is_overridable(text), mailchute.soft_bounces(text, text, double precision) to mailchute_relay;
    grant execute on function mailchute.cancel_message(bigint, text), mailchute.cancel_waiting(bigint, text), mailchute.take_from_queue(bigint), mailchute.retry_message(bigint, boolean),
      mailchute.settle_as_sent(bigint, text) to mailchute_relay;
    grant execute on function mailchute.close_digests(integer, timestamptz), mailchute.close_digest(text, text, text, timestamptz),
      mailchute.suppress_items(bigint[], text, text), mailchute.make_digest(bigint[], timestamptz),
      mailchute.digest_end(interval, time, text, timestamptz), mailchute.stream_life(text, text), mailchute.stream_of(text, text),
      mailchute.new_id() to mailchute_relay;
  end if;
  if exists (select from pg_roles where rolname = 'mailchute_admin') then
    grant select, insert, update, delete on mailchute.app, mailchute.app_role, mailchute.suppression, mailchute.pause, mailchute.stream to mailchute_admin;
    grant update on mailchute.recipient, mailchute.message to mailchute_admin;
    grant insert, update, delete on mailchute.queue, mailchute.place to mailchute_admin;
    -- A copied database that is adopted is another home than the one that it was copied from.
    grant select, update on mailchute.suppression_home to mailchute_admin;
    grant delete on mailchute.digest_item, mailchute.template to mailchute_admin;
    grant execute on function mailchute.save_template(text, text, text, text, text, text) to mailchute_admin;
    grant execute on function mailchute.cancel_message(bigint, text), mailchute.cancel_waiting(bigint, text), mailchute.take_from_queue(bigint), mailchute.retry_message(bigint, boolean),
      mailchute.settle_as_sent(bigint, text) to mailchute_admin;
  end if;
end $$;
