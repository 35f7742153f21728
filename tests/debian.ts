import { test } from "bun:test";
import { existsSync } from "node:fs";

/** The path of a program of a Debian package, or undefined. */
export function program(...paths: readonly string[]): string | undefined {
  return paths.find((path) => existsSync(path));
}

/** A test that needs a Debian package: without it, it skips and its name says what is missing. */
export function testWith(
  needed: { readonly program: string | undefined; readonly package: string },
  name: string,
  body: () => Promise<void>,
  timeoutMs?: number,
): void {
  if (needed.program === undefined) test.skip(`${name} (skipped: needs ${needed.package})`, () => {});
  else test(name, body, timeoutMs);
}
