import type { Statements } from "./statements.ts";

/** A right on the schema says whether `migrate` has run since the role was made; no right is needed to ask for it. */
const GROUP = `
select current_user::text as role, g.oid is not null as is_made, coalesce(pg_has_role(g.oid, 'usage'), false) as is_member,
  coalesce(has_schema_privilege(g.oid, n.oid, 'usage'), false) as has_rights
from pg_namespace n left join pg_roles g on g.rolname = 'mailchute_relay' where n.nspname = 'mailchute'`;

/** What has to be run, and by whom, so that the role of a connection may work on the queue. */
export async function rightsAdvice(sql: Statements): Promise<{ readonly role: string; readonly advice: string }> {
  const [row] = await sql.unsafe(GROUP);
  const role = String(row?.role);
  const grant = `grant mailchute_relay to ${role}`;
  const migrate = "the owner of the database runs: mailchute migrate (which gives mailchute_relay its rights)";
  if (!row?.is_made) {
    return { role, advice: `a superuser runs: create role mailchute_relay nologin; ${grant}; and then ${migrate}` };
  }
  if (row.is_member) return { role, advice: migrate };
  // The owner of a database need not have a right on the role, since roles are the whole cluster's.
  const granted = `a superuser, or who has made mailchute_relay, runs: ${grant}`;
  return { role, advice: row.has_rights ? granted : `${granted}; and then ${migrate}` };
}
