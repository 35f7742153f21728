import { errorCode } from "../error_code.ts";

export type Rows = readonly Readonly<Record<string, unknown>>[];

/** What runs statements: the driver's own pool, a transaction, a `ConnectionPool`, or what a Worker is handed. */
export interface Statements {
  unsafe(
    text: string,
    values?: (string | number | boolean | null)[],
    options?: { readonly prepare?: boolean },
  ): PromiseLike<Rows>;
}

/** Tells whether a statement failed with its connection, so that it may do better on another one. */
export function isOfConnection(error: unknown): boolean {
  // SQLSTATE 57P01 to 57P03: the server ends this connection, or all.
  return !(error instanceof Error && error.name === "PostgresError") || errorCode(error).startsWith("57P");
}
