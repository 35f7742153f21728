import { isOlder, PROGRAM_VERSION, SCHEMA_VERSION } from "../version.ts";
import type { Statements } from "./statements.ts";

/** What is there, compared with what this program knows. */
export interface SchemaState {
  /** 0 when there is no schema. */
  readonly version: number;
  readonly oldestProgram: string | undefined;
}

const SCHEMA_STATE = "select version, oldest_program from mailchute.schema_info";

/** Reads the version of the schema. */
export async function schemaState(sql: Statements): Promise<SchemaState> {
  const [exists] = await sql.unsafe("select to_regclass('mailchute.schema_info') is not null as yes");
  if (!exists?.yes) return { version: 0, oldestProgram: undefined };
  const [row] = await sql.unsafe(SCHEMA_STATE);
  return { version: Number(row?.version ?? 0), oldestProgram: row?.oldest_program as string | undefined };
}

/** One sentence when this program must not work with that schema; undefined when it may. */
export function schemaProblem(state: SchemaState, database: string): string | undefined {
  if (state.oldestProgram !== undefined && isOlder(PROGRAM_VERSION, state.oldestProgram)) {
    return `Cannot use the database ${database}: its schema ${state.version} is too new and needs mailchute ${state.oldestProgram} ` +
      `or later, this is ${PROGRAM_VERSION}: install that version`;
  }
  if (state.version < SCHEMA_VERSION) {
    return `Cannot use the database ${database}: its schema is at version ${state.version}, this program needs ${SCHEMA_VERSION}: ` +
      "run mailchute migrate as the owner of the database";
  }
  return undefined;
}
