import { isStream } from "../../src/stream.ts";

/**
 * Says what is wrong with the scope of a suppression; undefined: nothing.
 *
 * @example
 * ```ts
 * for (const scope of ["all", "app:shop", "stream:bulk", "sender:*@shop.example"]) {
 *   if (scopeFault(scope) !== undefined) throw new Error("unexpected");
 * }
 * if (scopeFault("shop") === undefined || scopeFault("stream:Bulk") === undefined) throw new Error("unexpected");
 * ```
 */
export function scopeFault(scope: string): string | undefined {
  const at = scope.indexOf(":");
  const [kind, name] = [scope.slice(0, at), scope.slice(at + 1)];
  const isFine = scope === "all" || (kind === "app" && /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name)) ||
    (kind === "stream" && isStream(name)) ||
    (kind === "sender" && /^[^\s<>,;"]{1,320}$/.test(name) && name.includes("@"));
  if (isFine) return undefined;
  return `the scope ${
    JSON.stringify(scope)
  } is none of all, app:NAME, stream:NAME and sender:ADDRESS (or sender:*@DOMAIN)`;
}
