import { rightsAdvice } from "../database/rights_advice.ts";
import { schemaProblem, schemaState } from "../database/schema_state.ts";
import { errorCode } from "../error_code.ts";
import { isOlder, PROGRAM_VERSION, SCHEMA_VERSION } from "../version.ts";
import type { DatabaseUnderTest } from "./database.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";

/** Who may change our schema: its owner, or where there is none, whoever may create one. */
const MAY_MIGRATE = `
select coalesce(
  (select pg_has_role(nspowner, 'usage') from pg_namespace where nspname = 'mailchute'),
  has_database_privilege(current_database(), 'create')) as may`;

/** Whether the schema and this program go together. */
export async function checkSchema({ sql, database }: DatabaseUnderTest): Promise<readonly Finding[]> {
  let state;
  try {
    state = await schemaState(sql);
  } catch (error) {
    if (errorCode(error) !== "42501") throw error;
    const { role, advice } = await rightsAdvice(sql);
    return [fail("schema", `the role ${role} may not look at it`, advice)];
  }
  if (schemaProblem(state, database.display) === undefined) {
    const newer = state.version > SCHEMA_VERSION
      ? `, newer than this program's ${SCHEMA_VERSION} and still good for it`
      : "";
    return [ok("schema", `version ${state.version}${newer}`)];
  }
  if (state.oldestProgram !== undefined && isOlder(PROGRAM_VERSION, state.oldestProgram)) {
    return [fail(
      "schema",
      `version ${state.version} is too new for mailchute ${PROGRAM_VERSION}`,
      `install mailchute ${state.oldestProgram} or later`,
    )];
  }
  const found = state.version === 0 ? "not there yet" : `version ${state.version}, older than ${SCHEMA_VERSION}`;
  const [row] = await sql.unsafe(MAY_MIGRATE);
  if (row?.may === true) {
    return [warn("schema", found, "nothing: the relay sees to it when it starts (or: mailchute migrate)")];
  }
  return [fail("schema", found, "run mailchute migrate with the URL of the database's owner")];
}
