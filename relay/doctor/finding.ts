import { errorCode } from "../error_code.ts";

/** How grave a finding is: `warn` works, but not as it should; `fail` does not. */
export type Level = "ok" | "warn" | "fail";

/** What one check has found: one line of `doctor`. */
export interface Finding {
  readonly check: string;
  readonly level: Level;
  /** What is so, without a full stop. */
  readonly found: string;
  /** What to do about it; always there unless all is well. */
  readonly fix?: string;
}

/** A finding with what was looked at, such as `database home`. */
export interface SubjectFinding extends Finding {
  readonly subject: string;
}

export function ok(check: string, found: string): Finding {
  return { check, level: "ok", found };
}

export function warn(check: string, found: string, fix: string): Finding {
  return { check, level: "warn", found, fix };
}

export function fail(check: string, found: string, fix: string): Finding {
  return { check, level: "fail", found, fix };
}

/** What a command needs for another database than home, which it means unless told. */
export function inDatabase({ name }: { readonly name: string }): string {
  return name === "home" ? "" : ` --database ${name}`;
}

/** Runs a check; what it throws is a finding too, so that the others still run. */
export async function checked(
  check: string,
  options: { readonly fix: string },
  look: () => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  try {
    return await look();
  } catch (error) {
    return [fail(check, `It cannot be looked at: ${reasonOf(error)}`, options.fix)];
  }
}

/** The message of an error; of one without, its code. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || errorCode(error) || error.name;
}

/**
 * The lines for people: each subject, below it what was found, and below that what to do.
 *
 * @example
 * ```ts
 * const text = report([{ subject: "route default", check: "login", level: "ok", found: "accepted" }]);
 * if (text !== "route default\n  ok    login         accepted") throw new Error(text);
 * ```
 */
export function report(findings: readonly SubjectFinding[]): string {
  const lines: string[] = [];
  let subject: string | undefined;
  for (const finding of findings) {
    if (finding.subject !== subject) lines.push(finding.subject);
    subject = finding.subject;
    lines.push(`  ${finding.level.padEnd(4)}  ${finding.check.padEnd(12)}  ${oneLine(finding.found)}`);
    if (finding.fix !== undefined) lines.push(`        ${"".padEnd(12)}  → ${oneLine(finding.fix)}`);
  }
  return lines.join("\n");
}

/** What a server says must not forge a line or paint the terminal. */
function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ");
}

/**
 * A duration for people, in the largest unit that leaves a number above 1.
 *
 * @example
 * ```ts
 * if (span(90_000) !== "2 min" || span(1_499) !== "1.5 s") throw new Error("unexpected");
 * ```
 */
export function span(ms: number): string {
  const abs = Math.abs(ms);
  if (abs < 10) return `${abs.toFixed(1)} ms`;
  if (abs < 1_000) return `${Math.round(abs)} ms`;
  if (abs < 60_000) return `${(abs / 1_000).toFixed(1)} s`;
  if (abs < 3_600_000) return `${Math.round(abs / 60_000)} min`;
  if (abs < 172_800_000) return `${Math.round(abs / 3_600_000)} h`;
  return `${Math.round(abs / 86_400_000)} days`;
}
