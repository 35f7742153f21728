import { rightsAdvice } from "../database/rights_advice.ts";
import type { DatabaseUnderTest } from "./database.ts";
import { fail, type Finding, ok } from "./finding.ts";

/** The rights that are missing, a line for each table. */
const MISSING = `
select t as table, string_agg(p, ', ' order by p) as missing
from unnest(array['content', 'attachment', 'message', 'recipient', 'attempt', 'queue', 'relay', 'place', 'throttle', 'bounce', 'feedback', 'suppression', 'suppression_copy']) as t,
  unnest(array['select', 'insert', 'update', 'delete']) as p
where not has_table_privilege('mailchute.' || t, p)
group by t
union all select t, 'select' from unnest(array['pause', 'batch']) as t where not has_table_privilege('mailchute.' || t, 'select')
union all select 'suppression_home', 'select, insert' where not has_table_privilege('mailchute.suppression_home', 'select')
  or not has_table_privilege('mailchute.suppression_home', 'insert')
order by 1`;

const STATE =
  "select current_user::text as role, pg_is_in_recovery() as standby, current_setting('transaction_read_only') = 'on' as read_only";

/** Whether the role may claim and settle. */
export async function checkRights({ sql, variable }: DatabaseUnderTest): Promise<readonly Finding[]> {
  const [state] = await sql.unsafe(STATE);
  if (state?.standby) {
    return [fail("rights", "this server is a read replica", `name the primary in ${variable}`)];
  }
  if (state?.read_only) {
    const fix =
      `let it write: alter role ${state.role} set default_transaction_read_only = off (or the same for the database)`;
    return [fail("rights", "transactions are read-only here", fix)];
  }
  const missing = await sql.unsafe(MISSING);
  if (missing.length === 0) return [ok("rights", `the role ${state?.role} may claim and settle`)];
  const [first] = missing;
  const more = missing.length === 1 ? "" : ` and ${missing.length - 1} more tables`;
  return [fail(
    "rights",
    `the role ${state?.role} lacks ${first?.missing} on ${first?.table}${more}`,
    (await rightsAdvice(sql)).advice,
  )];
}
