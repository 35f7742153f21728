import type { Sql } from "postgres";
import { namesIn } from "../../src/template.ts";
import { errorCode } from "../error_code.ts";
import { isTemplatePath, nameDifferences, readTemplateFolder, shownLanguage } from "../templates/template_folder.ts";
import {
  listTemplates,
  previewTemplate,
  removeTemplates,
  saveTemplate,
  type StoredVersion,
  type VersionFilter,
} from "../templates/template_table.ts";
import { formatTime } from "../time/moment.ts";
import { variablesOf } from "./batch.ts";
import {
  type Command,
  type CommandContext,
  DATABASE_OPTION,
  EXIT,
  JSON_OPTION,
  type Options,
  table,
  UsageError,
  withDatabase,
} from "./command.ts";

/** `template`: the templates that lie in the database. */
export const templateCommand: Command = {
  name: "template",
  usage:
    "list [--app NAME] | save FOLDER --app NAME [--accept-differences] [--dry-run] | show NAME --app NAME [--language de] [--version 2] | preview NAME --app NAME [--language de] [--version 2] [--var NAME=VALUE…] | remove NAME --app NAME [--language de] [--version 2] [--dry-run | --yes] [--json] [--database NAME]",
  summary:
    "the templates that an app's mails may name: save reads NAME/subject.txt, NAME/body.txt and NAME/body.html of a folder, and NAME/LANGUAGE/… for other languages; all of it is saved or nothing, and what has changed is a new version. It refuses languages whose variables differ, unless --accept-differences. preview shows what a template makes of values",
  // `--language ''` is the one without a language.
  takesEmpty: ["language"],
  options: {
    app: { type: "string" },
    language: { type: "string" },
    version: { type: "string" },
    var: { type: "string", multiple: true },
    "accept-differences": { type: "boolean" },
    "dry-run": { type: "boolean" },
    yes: { type: "boolean" },
    ...JSON_OPTION,
    ...DATABASE_OPTION,
  },
  async run(context, words, options) {
    const [action = "", name, ...rest] = words;
    const work = WORKS[action as keyof typeof WORKS];
    if (work === undefined) throw new UsageError(`Say what to do: ${Object.keys(WORKS).join(", ")}`);
    const foreign = Object.keys(options).find((option) => !work.options.includes(option) && !COMMON.includes(option));
    if (foreign !== undefined) throw new UsageError(`--${foreign} does not go with template ${action}`);
    if ((work.word === undefined) !== (name === undefined) || rest.length > 0) {
      throw new UsageError(`template ${action} takes ${work.word ?? "no name"}: mailchute template ${work.example}`);
    }
    const app = typeof options.app === "string" ? options.app : undefined;
    if (app === undefined && action !== "list") {
      throw new UsageError(`Name the app whose template is meant: mailchute template ${work.example}`);
    }
    const given: Given = {
      word: name ?? "",
      filter: { app, name, language: options.language as string | undefined, version: versionOf(options.version) },
      variables: variablesOf(options.var),
      ...{ isTrial: options["dry-run"] === true, isSure: options.yes === true, asJson: options.json === true },
      acceptsDifferences: options["accept-differences"] === true,
    };
    return await withDatabase(context, { name: options.database }, async (sql) => {
      try {
        return await work.run(context, sql, given);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        context.tell(error.message);
        return EXIT.failed;
      }
    });
  },
};

interface Given {
  /** The name, or the folder. */
  readonly word: string;
  readonly filter: VersionFilter;
  readonly variables: Readonly<Record<string, string>>;
  readonly isTrial: boolean;
  readonly isSure: boolean;
  readonly acceptsDifferences: boolean;
  readonly asJson: boolean;
}

interface Work {
  /** What stands behind the action; undefined: nothing. */
  readonly word?: string;
  readonly options: readonly string[];
  readonly example: string;
  run(context: CommandContext, sql: Sql, given: Given): Promise<number>;
}

const COMMON: readonly string[] = ["app", "json", "database"];

async function list(context: CommandContext, sql: Sql, { filter, asJson }: Given): Promise<number> {
  const found = await listTemplates(sql, filter);
  if (asJson) context.print(JSON.stringify(found.map(({ text: _, html: __, ...row }) => row), null, 2));
  else if (found.length === 0) context.tell("There are no templates: mailchute template save FOLDER --app NAME");
  else {
    const rows = found.map((row) => [
      ...[row.app, row.name, row.language, String(row.version), row.names.join(" ")],
      ...[formatTime(row.createdAt), row.createdBy],
    ]);
    context.print(table([["app", "name", "language", "version", "variables", "since", "by"], ...rows]));
  }
  return EXIT.ok;
}

/** All of a folder or nothing: one transaction. */
async function save(context: CommandContext, sql: Sql, given: Given): Promise<number> {
  const { word: folder, filter: { app = "" }, isTrial, asJson } = given;
  const { templates, faults } = readTemplateFolder(filesOf(context, folder));
  if (templates.length === 0 || faults.length > 0) {
    for (const fault of faults) context.tell(fault);
    context.tell(
      `Nothing was saved: ${faults.length > 0 ? "correct the folder" : `there is no template in ${folder}`}`,
    );
    return EXIT.failed;
  }
  const saved: {
    readonly name: string;
    readonly language: string;
    readonly version: number;
    readonly isNew: boolean;
  }[] = [];
  const differences: string[] = [];
  try {
    await sql.begin(async (tx) => {
      for (const template of templates) {
        const { name, language, text, html } = template;
        const { version, isNew } = await saveTemplate(tx, app, template).catch((error: unknown) => {
          if (isRefusal(error)) error.message = `${titleOf(template)}: ${error.message}`;
          throw error;
        });
        saved.push({ name, language, version, isNew });
        if (text === undefined || html === undefined) continue;
        const bodies = [{ language: "body.txt", names: namesIn(text) }, {
          language: "body.html",
          names: namesIn(html),
        }];
        for (const note of nameDifferences(bodies)) context.tell(`${titleOf(template)}: ${note}`);
      }
      for (const name of new Set(templates.map((template) => template.name))) {
        const languages = await listTemplates(tx, { app, name });
        differences.push(...nameDifferences(languages).map((difference) => `${name}: ${difference}`));
      }
      if (isTrial || (differences.length > 0 && !given.acceptsDifferences)) throw new Undone();
    });
  } catch (error) {
    if (!(error instanceof Undone)) throw error;
  }
  for (const difference of differences) context.tell(difference);
  if (differences.length > 0 && !given.acceptsDifferences) {
    context.tell("Nothing was saved: give the languages the same variables, or add --accept-differences");
    return EXIT.failed;
  }
  if (asJson) context.print(JSON.stringify(saved, null, 2));
  else {
    for (const one of saved) {
      context.print(`${titleOf(one)}: version ${one.version}${one.isNew ? "" : ", as it was"}`);
    }
  }
  if (isTrial) context.tell("Nothing was saved: this was --dry-run.");
  return EXIT.ok;
}

/** Takes back what was done to see what comes of it. */
class Undone extends Error {}

function filesOf(context: CommandContext, folder: string): Parameters<typeof readTemplateFolder>[0] {
  try {
    return context.listFiles(folder).filter(isTemplatePath).map((path) => (
      { path, text: context.readFile(`${folder}/${path}`) }
    ));
  } catch (error) {
    throw new UsageError(`Cannot read the folder ${folder}: ${error instanceof Error ? error.message : error}`);
  }
}

async function show(context: CommandContext, sql: Sql, { filter, asJson }: Given): Promise<number> {
  const [found] = await listTemplates(sql, { ...filter, language: filter.language ?? "" });
  if (found === undefined) return await missing(context, sql, filter);
  if (asJson) context.print(JSON.stringify(found, null, 2));
  else printBodies(context, found);
  return EXIT.ok;
}

async function preview(context: CommandContext, sql: Sql, { filter, variables, asJson }: Given): Promise<number> {
  const { app = "", ...template } = filter;
  const made = await previewTemplate(sql, app, { ...template, variables });
  if (asJson) context.print(JSON.stringify(made, null, 2));
  else printBodies(context, made);
  return EXIT.ok;
}

/** One version is gone at once; more than one, with `--yes`. */
async function remove(context: CommandContext, sql: Sql, { filter, isTrial, isSure, asJson }: Given): Promise<number> {
  if (isTrial && isSure) throw new UsageError("template remove takes one of --dry-run and --yes");
  let removed: Awaited<ReturnType<typeof removeTemplates>> = [];
  let asks = false;
  try {
    await sql.begin(async (tx) => {
      removed = await removeTemplates(tx, filter);
      asks = removed.length > 1 && !isTrial && !isSure;
      if (isTrial || asks) throw new Undone();
    });
  } catch (error) {
    if (!(error instanceof Undone)) throw error;
  }
  if (removed.length === 0) return await missing(context, sql, filter);
  if (asJson) context.print(JSON.stringify(removed, null, 2));
  else {
    const what = isTrial || asks ? "would be removed" : "removed";
    for (const one of removed) context.print(`${titleOf(one)}: version ${one.version} ${what}`);
  }
  if (isTrial) context.tell("Nothing was removed: this was --dry-run.");
  if (asks) context.tell(`Nothing was removed: ${removed.length} versions would be, with --yes.`);
  return asks ? EXIT.failed : EXIT.ok;
}

const WORKS: Readonly<Record<"list" | "save" | "show" | "preview" | "remove", Work>> = {
  list: { options: [], example: "list", run: list },
  save: { word: "a folder", options: ["accept-differences", "dry-run"], example: "save FOLDER --app NAME", run: save },
  show: { word: "one name", options: ["language", "version"], example: "show NAME --app NAME", run: show },
  preview: {
    ...{ word: "one name", options: ["language", "version", "var"] },
    ...{ example: "preview NAME --app NAME --var first=Ann", run: preview },
  },
  remove: {
    ...{ word: "one name", options: ["language", "version", "dry-run", "yes"] },
    ...{ example: "remove NAME --app NAME", run: remove },
  },
};

async function missing(context: CommandContext, sql: Sql, { app, name }: VersionFilter): Promise<number> {
  const there = (await listTemplates(sql, { app, name })).map(({ language, version }) =>
    `${shownLanguage(language)} version ${version}`
  );
  const known = there.length === 0 ? "" : `; there is: ${there.join(", ")}`;
  context.tell(`The app ${app} has no such template ${name}${known}`);
  return EXIT.failed;
}

function printBodies(
  context: CommandContext,
  version: Pick<StoredVersion, "name" | "language" | "version" | "subject"> & {
    readonly text?: string | undefined;
    readonly html?: string | undefined;
  },
): void {
  context.tell(`${titleOf(version)}, version ${version.version}`);
  context.print(`Subject: ${version.subject}`);
  if (version.text !== undefined) context.print(`\n${version.text}`);
  if (version.html !== undefined) context.print(`\n${version.html}`);
}

function titleOf({ name, language }: { readonly name: string; readonly language: string }): string {
  return language === "" ? name : `${name} ${language}`;
}

function versionOf(text: Options[string]): number | undefined {
  if (typeof text !== "string") return undefined;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new UsageError(`--version ${text} is no whole number from 1`);
}

/** What the database says of our own checks is for people as it is. */
function isRefusal(error: unknown): error is Error {
  return errorCode(error).startsWith("MC");
}
