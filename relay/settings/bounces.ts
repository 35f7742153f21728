import type { BounceRules } from "../suppression/bounces.ts";
import { formatDuration, parseDuration } from "../time/duration.ts";
import { SettingsError } from "./settings_error.ts";

const RULE = /^(hard|soft)\s*=\s*suppress(?:\s+after\s+(\d{1,4})\s+in\s+(\S+))?(?:\s+for\s+(\S+))?$/;
const EXAMPLE = "hard=suppress, soft=suppress after 5 in 7d for 30d";
/** What is counted is kept so long. */
const LONGEST_WITHIN_MS = 90 * 86_400_000;

/**
 * Reads `RELAY_ON_BOUNCE`; undefined: nothing is done.
 *
 * @example
 * ```ts
 * const rules = parseBounceRules("hard=suppress, soft=suppress after 5 in 7d for 30d");
 * console.log(rules?.hard, rules?.soft?.after); // { forMs: undefined } 5
 * ```
 * @throws {SettingsError} with what to write
 */
export function parseBounceRules(written: string): BounceRules | undefined {
  if (written.trim() === "ignore") return undefined;
  let rules: BounceRules = { hard: undefined, soft: undefined };
  for (const text of written.split(",").map((part) => part.trim())) {
    const shown = JSON.stringify(text);
    const [, kind, after, within, length] = RULE.exec(text) ?? [];
    if (kind === undefined) throw refuse(`${shown} is no rule`, `write ignore, or ${EXAMPLE}`);
    if (rules[kind as "hard" | "soft"] !== undefined) throw refuse(`it has two rules for ${kind}`, "leave one");
    const forMs = length === undefined ? undefined : durationOf(length, shown);
    if (kind === "hard") {
      if (after !== undefined) {
        throw refuse(`${shown} counts hard bounces, of which the first says it all`, "write hard=suppress for 30d");
      }
      rules = { ...rules, hard: { forMs } };
      continue;
    }
    if (after === undefined || within === undefined || Number(after) < 2) {
      throw refuse(`${shown} does not say after how many, at least 2`, "write soft=suppress after 5 in 7d for 30d");
    }
    const withinMs = durationOf(within, shown);
    if (withinMs > LONGEST_WITHIN_MS) throw refuse(`${shown} counts over more than 90d`, "write at most 90d");
    rules = { ...rules, soft: { after: Number(after), withinMs, forMs } };
  }
  return rules;
}

/** Writes rules as they stand in the setting. */
export function formatBounceRules({ hard, soft }: BounceRules): string {
  const long = (forMs: number | undefined) => forMs === undefined ? "" : ` for ${formatDuration(forMs)}`;
  return [
    ...(hard === undefined ? [] : [`hard=suppress${long(hard.forMs)}`]),
    ...(soft === undefined
      ? []
      : [`soft=suppress after ${soft.after} in ${formatDuration(soft.withinMs)}${long(soft.forMs)}`]),
  ].join(", ");
}

function durationOf(text: string, rule: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 60_000 || ms > 3650 * 86_400_000) {
    throw refuse(`${JSON.stringify(text)} in ${rule} is no duration from 1m to 3650d`, "write 12h, 7d or the like");
  }
  return ms;
}

function refuse(because: string, fix: string): SettingsError {
  return new SettingsError("RELAY_ON_BOUNCE", `Cannot use RELAY_ON_BOUNCE: ${because}; ${fix}`);
}
