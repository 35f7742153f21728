import type { Setting } from "./setting.ts";
import { PARAMETER_NAMES, smtpParameters } from "./smtp_parameter_table.ts";
import { table } from "./table.ts";

/** Where the generated page lies in the repository. */
export const SETTINGS_PAGE = "docs/settings.md";

/**
 * Returns what `--help` says about settings.
 *
 * @example The first line
 * ```ts
 * import { settingsHelp } from "./document.ts";
 * console.log(settingsHelp().split("\n")[0]); // Settings come from the environment; each also as NAME_FILE, …
 * ```
 */
export function settingsHelp(): string {
  const lines = [
    "Settings come from the environment; each also as NAME_FILE, the path of a file that holds the value.",
  ];
  for (const [group, entries] of groups()) {
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

/** Returns the text of `docs/settings.md`. */
export function settingsPage(): string {
  const lines = [
    "# Settings",
    "",
    "<!-- Generated from relay/settings/table.ts; a test compares the two. -->",
    "",
    "The relay takes its settings from the environment and stops at the start, with one sentence, when one of them is",
    "unknown, impossible or contradicts another. Each may also be given as `NAME_FILE`, the path of a file that holds the",
    "value (one newline at its end is removed); giving both is an error, and so is an empty value.",
    "",
    "Durations carry their unit: `500ms`, `90s`, `2m`, `12h`, `30d`.",
    "",
    "With no database, no SMTP server and no health-check URL at all the relay starts as a **playground**: an embedded",
    "Postgres and a local inbox that captures every mail.",
  ];
  for (const [group, entries] of groups()) {
    lines.push("", `## ${group}`, "", "| Variable | Value | Default | Meaning |", "| --- | --- | --- | --- |");
    for (const entry of entries) {
      const fallback = fallbackOf(entry, (value) => `\`${value}\``, (note) => note) || "–";
      lines.push(`| \`${entry.name}\` | ${cell(entry.kind.form)} | ${fallback} | ${cell(entry.description)} |`);
    }
  }
  lines.push(
    "",
    "## Parameters of SMTP_URL",
    "",
    "They follow the host, as in `smtp://relay:secret@smtp.example.com?min-tls=1.3&connections=8`; those of `SMTP_URL_<NAME>` are the same.",
    "",
    "| Parameter | Value | Default | Meaning |",
    "| --- | --- | --- | --- |",
    ...PARAMETER_NAMES.map((name) => {
      const { kind, fallback, description } = smtpParameters[name];
      return `| \`${name}\` | ${cell(kind.form)} | ${cell(fallback)} | ${cell(description)} |`;
    }),
  );
  lines.push(
    "",
    "## Names of Django and its mail packages",
    "",
    "Names of django-email-relay, django-mailer and django-post-office that promise something here too, and names of later",
    "versions, are refused with a sentence that says what to use; those of the apps are named in the log and have no effect:",
    "[migrating.md](migrating.md). What Kubernetes injects for a service called `relay` (`RELAY_PORT=tcp://…`,",
    "`RELAY_SERVICE_HOST`, …) is ignored.",
  );
  return `${lines.join("\n")}\n`;
}

/** Writes the page; run it from the repository's root after a change of the table. */
export async function writeSettingsPage(path: string = SETTINGS_PAGE): Promise<void> {
  await Bun.write(path, settingsPage());
}

function groups(): ReadonlyMap<string, readonly Setting<unknown>[]> {
  const found = new Map<string, Setting<unknown>[]>();
  for (const entry of Object.values(table) as readonly Setting<unknown>[]) { // a union of kinds, read for its words only
    found.set(entry.group, [...found.get(entry.group) ?? [], entry]);
  }
  return found;
}

function fallbackOf(
  entry: Setting<unknown>,
  value: (text: string) => string,
  note: (text: string) => string = value,
): string {
  if (entry.fallback !== undefined) return value(entry.fallback);
  return entry.fallbackNote === undefined ? "" : note(entry.fallbackNote);
}

function cell(text: string): string {
  // A bare <NAME> would be taken for an HTML tag.
  return text.replaceAll("|", "\\|").replace(/(?<!`[^`]*)<(\w+)>/g, "&lt;$1&gt;");
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
