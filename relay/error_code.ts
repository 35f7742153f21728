/**
 * The code of an error: a SQLSTATE, an errno such as `ECONNREFUSED`, or a driver's own word; the empty string when it
 * has none.
 *
 * @example
 * ```ts
 * if (errorCode(Object.assign(new Error("No such file"), { code: "ENOENT" })) !== "ENOENT") throw new Error("unexpected");
 * if (errorCode("ENOENT") !== "") throw new Error("unexpected");
 * ```
 */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
