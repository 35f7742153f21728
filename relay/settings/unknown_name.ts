import { answerTo } from "./predecessor_names.ts";
import { SettingsError } from "./settings_error.ts";
import { table } from "./table.ts";
import { together } from "./together.ts";

/** Refuses names that look like settings of ours and are none. */
export function checkNames(names: readonly string[]): void {
  together(...names.map((name) => () => checkName(name, names)));
}

function checkName(name: string, names: readonly string[]): void {
  const answer = answerTo(name, isKnown);
  if (answer?.then === "refuse") throw new SettingsError(name, `Cannot use ${name}: ${answer.words}`);
  if (name.startsWith("RELAY_") && !isKnown(name)) {
    const near = name === "RELAY_PORT" ? "PORT" : name === "RELAY_HOST" ? "HOST" : nearest(name, isRelayName);
    const hint = near === undefined ? "--help lists them all" : `did you mean ${near}?`;
    throw new SettingsError(name, `Cannot use ${name}: there is no such setting; ${hint}`);
  }
  const meant = isKnown(name) ? undefined : slipOf(name);
  if (meant === undefined || names.includes(meant)) return;
  throw new SettingsError(name, `Cannot use ${name}: there is no such setting; did you mean ${meant}?`);
}

/** Names of ours that are shorter are too near to what other programs read. */
const LEAST_CHARS = 8;

/**
 * The setting without `RELAY_` before it that a name misses by one letter, or by two that changed places:
 * `EMAIL_USE_TSL` would send in the clear.
 */
function slipOf(name: string): string | undefined {
  const isSlip = (written: string, meant: string) => editDistance(written, meant) === 1;
  const whole = knownNames().find((known) => known.length >= LEAST_CHARS && !isRelayName(known) && isSlip(name, known));
  if (whole !== undefined) return whole;
  for (const stem of ["DATABASE_URL", "SMTP_URL"]) {
    for (const chars of [stem.length - 1, stem.length, stem.length + 1]) {
      const [head, tail] = [name.slice(0, chars), name.slice(chars)];
      if (tail.startsWith("_") && isSlip(head, stem)) return stem + tail;
    }
  }
  return undefined;
}

/**
 * Refuses a name that is one or two letters away from `DATABASE_URL` or `SMTP_URL`.
 *
 * Called before the playground starts: a slip of the pen must not give a production relay an empty queue of its own.
 */
export function checkNearMisses(names: readonly string[]): void {
  for (const name of names) {
    for (const meant of ["DATABASE_URL", "SMTP_URL"]) {
      if (editDistance(name, meant) > 2) continue;
      throw new SettingsError(
        name,
        `Cannot start the playground: ${name} is set, which is no setting; did you mean ${meant}?`,
      );
    }
  }
}

/** Counts the letters to insert, remove, replace or swap with their neighbour (optimal string alignment). */
export function editDistance(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const row = [i];
    for (let j = 1; j <= right.length; j++) {
      const same = left[i - 1] === right[j - 1] ? 0 : 1;
      let best = Math.min(cell(last, j) + 1, cell(row, j - 1) + 1, cell(last, j - 1) + same);
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]) {
        best = Math.min(best, cell(beforeLast, j - 2) + 1);
      }
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return cell(last, right.length);
}

function cell(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}

/** Tells whether a name is a setting. */
export function isKnown(name: string): boolean {
  return knownNames().some((known) => name === known || name === `${known}_FILE`);
}

function isRelayName(name: string): boolean {
  return name.startsWith("RELAY_");
}

function nearest(name: string, include: (known: string) => boolean): string | undefined {
  const bare = name.replace(/_FILE$/, "");
  const ranked = knownNames().filter(include)
    .map((known) => ({ known, distance: editDistance(bare, known) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= Math.max(3, Math.floor(bare.length / 3)) ? best.known : undefined;
}

function knownNames(): readonly string[] {
  return Object.values(table).map((entry) => entry.name);
}
