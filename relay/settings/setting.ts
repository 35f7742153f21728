import type { Kind } from "./kind.ts";

/** One variable: everything that parsing, `--help`, the docs and the error texts know about it. */
export interface Setting<Value> {
  readonly name: string;
  readonly kind: Kind<Value>;
  /** As one would write it; undefined when the setting has no value unless it is given. */
  readonly fallback: string | undefined;
  /** What the docs say in place of a default. */
  readonly fallbackNote?: string;
  readonly description: string;
  readonly group:
    | "Database"
    | "SMTP server"
    | "SMTP server, in Django's words"
    | "Relay"
    | "Outside of production"
    | "Health check"
    | "HTTP"
    | "Log";
}

/** What a setting is told with. */
export type Words = Omit<Setting<never>, "name" | "kind" | "fallback">;

/** A setting that has a value in any case. */
export function setting<Value>(
  name: string,
  kind: Kind<Value>,
  words: Words & { readonly fallback: string },
): Setting<Value> {
  return { name, kind, ...words };
}

/** A setting that has none unless it is given. */
export function optional<Value>(name: string, kind: Kind<Value>, words: Words): Setting<Value | undefined> {
  return { name, kind, fallback: undefined, ...words };
}
