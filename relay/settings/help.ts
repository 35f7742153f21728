import type { Setting } from "./setting.ts";
import { PARAMETER_NAMES, smtpParameters } from "./smtp_parameter_table.ts";
import { table } from "./table.ts";

/**
 * Returns what `--help` says about settings.
 *
 * @example The first line
 * ```ts
 * import { settingsHelp } from "./help.ts";
 * console.log(settingsHelp().split("\n")[0]); // Settings come from the environment; each also as NAME_FILE, …
 * ```
 */
export function settingsHelp(): string {
  const lines = [
    "Settings come from the environment; each also as NAME_FILE, the path of a file that holds the value.",
  ];
  for (const [group, entries] of settingGroups()) {
    lines.push("", `${group}:`);
    for (const entry of entries) {
      lines.push(`  ${entry.name}${fallbackOf(entry, (value) => ` [${value}]`)}`);
      lines.push(...wrap(plain(entry.description), 74).map((line) => `      ${line}`));
    }
  }
  lines.push("", "Parameters of SMTP_URL (?name=value&name=value):");
  for (const name of PARAMETER_NAMES) {
    const { fallback, description } = smtpParameters[name];
    lines.push(`  ${name}${fallback === "–" ? "" : ` [${fallback}]`}`);
    lines.push(...wrap(plain(description), 74).map((line) => `      ${line}`));
  }
  return `${lines.join("\n")}\n`;
}

/** The settings by the headings that they stand under, in order. */
export function settingGroups(): ReadonlyMap<string, readonly Setting<unknown>[]> {
  const found = new Map<string, Setting<unknown>[]>();
  for (const entry of Object.values(table) as readonly Setting<unknown>[]) { // a union of kinds, read for its words only
    found.set(entry.group, [...found.get(entry.group) ?? [], entry]);
  }
  return found;
}

/** What holds when a setting is not given: a value, or a note in words. */
export function fallbackOf(
  entry: Setting<unknown>,
  value: (text: string) => string,
  note: (text: string) => string = value,
): string {
  if (entry.fallback !== undefined) return value(entry.fallback);
  return entry.fallbackNote === undefined ? "" : note(entry.fallbackNote);
}

function plain(text: string): string {
  return text.replaceAll("`", "");
}

function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
      continue;
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
