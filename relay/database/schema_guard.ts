import type { Log } from "../log.ts";
import { schemaProblem, schemaState } from "./schema_state.ts";
import type { Statements } from "./statements.ts";

// DESIGN: a deploy migrates the schema while relays of the program before it run. Most changes add something, and these
// go on; one that raises `oldest_program` above a running program makes it stop claiming. What it holds it gives back
// or brings to its end: settle and release work with every schema since the claim was made.

/** What a schema guard needs. */
export interface SchemaGuardOptions {
  readonly sql: Statements;
  /** `host/name`. */
  readonly display: string;
  readonly log: Pick<Log, "info" | "error">;
  /** It has changed whether this program may claim. */
  readonly onChange: () => void;
}

/** Keeps a program from working with a schema that has become too new, or too old, for it. */
export class SchemaGuard {
  readonly #options: SchemaGuardOptions;
  #problem: string | undefined;

  constructor(options: SchemaGuardOptions) {
    this.#options = options;
  }

  /** One sentence with the fix while nothing may be claimed; undefined: at the last look it was in order. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Reads the version; to be called again and again. */
  async look(): Promise<void> {
    const { sql, display, log, onChange } = this.#options;
    const problem = schemaProblem(await schemaState(sql), display);
    const before = this.#problem;
    this.#problem = problem;
    if ((problem === undefined) === (before === undefined)) return;
    if (problem === undefined) log.info("the schema fits this program again: mail is claimed");
    else log.error("nothing more is claimed: the schema does not fit this program any more", { reason: problem });
    onChange();
  }
}
