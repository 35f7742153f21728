import type { Issue } from "../error.ts";

/**
 * What the database throws when it refuses a request: a SQLSTATE, and the issues in its detail, as a driver hands them
 * on.
 */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly code: string;
  readonly detail: string | undefined;

  constructor(code: string, message: string, issues?: readonly Issue[]) {
    super(message);
    this.code = code;
    this.detail = issues === undefined ? undefined : JSON.stringify(issues);
  }
}

/** Refuses a request for one fault. */
export function refuseIssue(path: string, message: string): never {
  throw new Refused("MC001", `Cannot enqueue the mail: ${path} ${message}`, [{ path, message }]);
}
