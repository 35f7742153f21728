import type { Sql } from "postgres";
import { parseAddress } from "../../src/address.ts";
import { suppressionReason } from "../../src/suppression.ts";
import { CsvFault, csvLine } from "../csv.ts";
import { errorCode } from "../error_code.ts";
import { HEADER, type LineFault, readSuppressions, suppressionLine } from "../suppression/file.ts";
import { scopeFault } from "../suppression/scope.ts";
import {
  appsBeside,
  type ListPlace,
  listSuppressions,
  removeSuppressions,
  saveSuppressions,
  type SuppressionRow,
} from "../suppression/table.ts";
import { parseDuration } from "../time/duration.ts";
import { formatTime } from "../time/moment.ts";
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
import { limitOf } from "./list.ts";

const ACTIONS = ["list", "remove", "import", "export"] as const;
/** The options that each takes beside its own name, and those of addresses alone. */
const TAKEN: Readonly<Record<typeof ACTIONS[number] | "add", readonly string[]>> = {
  add: ["reason", "scope", "until"],
  list: ["scope", "limit", "after", "json"],
  remove: ["scope"],
  import: ["reason", "scope", "until", "skip-invalid"],
  export: ["scope"],
};
const ALWAYS: readonly string[] = [...ACTIONS, ...Object.keys(DATABASE_OPTION)];
/** Rows of one statement. */
const PAGE = 5_000;
/** So many faults of a file are named. */
const NAMED_FAULTS = 10;

/** `suppress`: the addresses that get no mail. */
export const suppressCommand: Command = {
  name: "suppress",
  usage:
    "[ADDRESS…] [--reason manual] [--scope all|app:NAME|stream:NAME|sender:PATTERN] [--until 30d] [--list | --remove | --import FILE.csv [--skip-invalid] | --export] [--limit 50] [--after ADDRESS] [--json] [--database NAME]",
  summary:
    "keep addresses from getting mail: with addresses alone, put them on the list. --remove takes them off (in every scope, or in one), --list shows it, --import and --export are CSV with a header (- is stdin). What the home database has for all holds in every database of its relays",
  takesWords: true,
  options: {
    reason: { type: "string" },
    scope: { type: "string" },
    until: { type: "string" },
    list: { type: "boolean" },
    remove: { type: "boolean" },
    import: { type: "string" },
    export: { type: "boolean" },
    "skip-invalid": { type: "boolean" },
    limit: { type: "string" },
    after: { type: "string" },
    ...JSON_OPTION,
    ...DATABASE_OPTION,
  },
  async run(context, words, options) {
    const actions = ACTIONS.filter((action) => options[action] !== undefined);
    if (actions.length > 1) throw new UsageError("Name one of --list, --remove, --import and --export at a time");
    const [action] = actions;
    refuseIdle(options, action);
    const addresses = words.map(addressOf);
    if (addresses.length === 0 && (action === undefined || action === "remove")) {
      throw new UsageError("Name one address or more, or add --list, --import FILE.csv or --export");
    }
    if (addresses.length > 0 && (action === "import" || action === "export")) {
      throw new UsageError(`--${action} takes no addresses`);
    }
    const given = {
      addresses,
      ...{ reason: reasonOf(options.reason), scope: scopeOf(options.scope), until: untilOf(options.until, new Date()) },
      ...{ limit: limitOf(options, 50), after: typeof options.after === "string" ? options.after : undefined },
      ...{ file: options.import as string, skips: options["skip-invalid"] === true, asJson: options.json === true },
    };
    return await withDatabase(context, { name: options.database }, async (sql, { name, display }) => {
      const work = action === undefined ? add : WORKS[action];
      return await work(context, sql, { ...given, name, display });
    });
  },
};

interface Given {
  readonly addresses: readonly string[];
  readonly reason: string | undefined;
  readonly scope: string | undefined;
  readonly until: Date | undefined;
  readonly limit: number;
  readonly after: string | undefined;
  readonly file: string;
  readonly skips: boolean;
  readonly asJson: boolean;
  /** Of the database. */
  readonly name: string;
  readonly display: string;
}

type Work = (context: CommandContext, sql: Sql, given: Given) => Promise<number>;

const add: Work = async (context, sql, { addresses, reason = "manual", scope = "all", until, name, display }) => {
  const rows = addresses.map((address) => ({ address, scope, reason, until, createdAt: undefined }));
  const { created, saved } = await saveSuppressions(sql, rows);
  const known = saved === created ? "" : `, ${saved - created} were there and have the new reason and end`;
  context.tell(
    `${created} put on the suppression list of ${display} (${scope}: ${reason})${known}${elsewhere(name, scope)}`,
  );
  await warnOfNoApp(context, sql, scope);
  return EXIT.ok;
};

/** No error: the app may come later, and the owner of the schema is one that was never granted. */
async function warnOfNoApp(context: CommandContext, sql: Sql, scope: string): Promise<void> {
  const apps = await appsBeside(sql, scope);
  if (apps === undefined) return;
  const known = apps.length === 0 ? "there is none yet" : `there are ${apps.join(", ")}`;
  context.tell(`${scope} is none of the apps of this database (${known}): it holds for nobody else`);
}

/** Who names another database may expect that it holds in all. */
function elsewhere(database: string, scope: string): string {
  return database === "home" || scope !== "all"
    ? ""
    : "; it holds in this database: what is to hold in all databases of a relay is put on the list of its home";
}

const remove: Work = async (context, sql, { addresses, scope }) => {
  const removed = await removeSuppressions(sql, { addresses, scope });
  for (const row of removed) context.print(`${row.address}: removed from ${row.scope}`);
  const gone = new Set(removed.map(({ address }) => address));
  const { rows: copied } = await listSuppressions(sql, { addresses, scope, limit: PAGE, copies: "only" });
  for (const { address } of copied) gone.add(address);
  const missing = addresses.filter((address) => !gone.has(address.toLowerCase()));
  for (const address of missing) {
    context.tell(`${address} was not on the list${scope === undefined ? "" : ` for ${scope}`}.`);
  }
  for (const { address, copyOf } of copied) {
    context.tell(`${address} is on the list of ${copyOf}, whose relays have copied it: take it off there.`);
  }
  return missing.length + copied.length === 0 ? EXIT.ok : EXIT.failed;
};

const list: Work = async (context, sql, { addresses, scope, limit, after, asJson }) => {
  // Behind the last scope of that address.
  const place = after === undefined ? undefined : { address: after.toLowerCase(), scope: "\u{10FFFF}", origin: "" };
  const wanted = addresses.length === 0 ? undefined : addresses;
  const page = await listSuppressions(sql, { after: place, addresses: wanted, scope, limit, copies: "included" });
  const { next } = page;
  // All of its last address: --after goes on behind that.
  const rest = next === undefined ? [] : (await listSuppressions(sql, {
    ...{ after: next, addresses: [next.address], scope, limit: PAGE, copies: "included" },
  })).rows;
  const rows = [...page.rows, ...rest];
  if (asJson) context.print(JSON.stringify(rows, null, 2));
  else if (rows.length === 0) context.tell("Nobody on the list matches.");
  else {
    const lines = rows.map((row) => [
      ...[row.address, row.scope, row.reason, row.until === undefined ? "" : formatTime(row.until)],
      ...[formatTime(row.createdAt), row.createdBy, row.copyOf ?? ""],
    ]);
    context.print(table([["address", "scope", "reason", "until", "since", "by", "copied from"], ...lines]));
  }
  if (next !== undefined) context.tell(`There may be more: the same with --after ${next.address}`);
  return EXIT.ok;
};

/** All of a file or nothing: one transaction. */
const importFile: Work = async (context, sql, { file, reason, scope, until, skips, display }) => {
  const counts = { created: 0, saved: 0 };
  const faults: LineFault[] = [];
  let refused = 0;
  try {
    await sql.begin(async (tx) => {
      let waiting: SuppressionRow[] = [];
      const save = async () => {
        const { created, saved } = await saveSuppressions(tx, waiting);
        counts.created += created;
        counts.saved += saved;
        waiting = [];
      };
      for await (const part of readSuppressions(context.open(file), { reason, scope, until })) {
        refused += part.faults.length;
        faults.push(...part.faults.slice(0, NAMED_FAULTS - faults.length));
        if (faults.length > 0 && !skips) continue;
        for (const row of part.rows) {
          if (waiting.push(row) >= PAGE) await save();
        }
      }
      if (refused > 0 && !skips) throw new Refused();
      if (waiting.length > 0) await save();
    });
  } catch (error) {
    const unreadable = unreadableOf(error);
    if (unreadable !== undefined) context.tell(`Cannot read ${file}: ${unreadable}`);
    else if (error instanceof CsvFault) context.tell(`Cannot read ${file}: ${error.message}`);
    else if (!(error instanceof Refused)) throw error;
    tellFaults(context, file, { faults, refused });
    context.tell("Nothing was imported: correct the file, or add --skip-invalid to leave such lines out");
    return EXIT.failed;
  }
  tellFaults(context, file, { faults, refused });
  context.tell(
    `${counts.created} put on the suppression list of ${display}, ${counts.saved - counts.created} were there${
      refused === 0 ? "" : `, ${refused} lines left out`
    }`,
  );
  if (scope !== undefined) await warnOfNoApp(context, sql, scope);
  return EXIT.ok;
};

class Refused extends Error {}

const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "it may not be read",
};

/** Why a file cannot be read; undefined: the error is another. */
function unreadableOf(error: unknown): string | undefined {
  return UNREADABLE[errorCode(error)];
}

function tellFaults(
  context: CommandContext,
  file: string,
  { faults, refused }: { readonly faults: readonly LineFault[]; readonly refused: number },
): void {
  for (const { line, message } of faults) context.tell(`${file} line ${line}: ${message}`);
  if (refused > faults.length) context.tell(`and ${refused - faults.length} lines more`);
}

const exportAll: Work = async (context, sql, { scope }) => {
  context.print(csvLine(HEADER));
  let after: ListPlace | undefined;
  for (;;) {
    // What relays have copied is in the file of the database that it comes from.
    const { rows, next } = await listSuppressions(sql, { after, scope, limit: PAGE, copies: "excluded" });
    // Whoever reads slowly is waited for: the list may be long.
    if (rows.length > 0) await context.print(rows.map(suppressionLine).join("\n"));
    if (next === undefined) return EXIT.ok;
    after = next;
  }
};

const WORKS: Readonly<Record<typeof ACTIONS[number], Work>> = { list, remove, import: importFile, export: exportAll };

/**
 * Whoever gives an option expects that it does something: `--remove --reason bounce` would take off all that there is
 * of an address.
 */
function refuseIdle(options: Options, action: typeof ACTIONS[number] | undefined): void {
  const taken = [...ALWAYS, ...TAKEN[action ?? "add"]];
  const idle = Object.keys(options).find((name) => options[name] !== undefined && !taken.includes(name));
  if (idle === undefined) return;
  const names = TAKEN[action ?? "add"].map((name) => `--${name}`).join(", ");
  const which = action === undefined ? "addresses that are put on the list take" : `--${action} takes`;
  throw new UsageError(`--${idle} has no meaning here: ${which} ${names}`);
}

function addressOf(word: string): string {
  const parsed = parseAddress(word);
  if (parsed.ok && parsed.mailbox.name === undefined) return parsed.mailbox.email;
  throw new UsageError(`${word} is no mail address: write ann@example.com`);
}

function reasonOf(text: Options[string]): string | undefined {
  if (typeof text !== "string") return undefined;
  return suppressionReason(text, (message) => {
    throw new UsageError(`--reason ${text}: ${message}`);
  });
}

function scopeOf(text: Options[string]): string | undefined {
  if (typeof text !== "string") return undefined;
  const fault = scopeFault(text);
  if (fault !== undefined) throw new UsageError(`--scope: ${fault}`);
  return text;
}

/** A duration counts from now. */
function untilOf(text: Options[string], now: Date): Date | undefined {
  if (typeof text !== "string") return undefined;
  const ms = parseDuration(text);
  const until = ms === undefined ? new Date(text) : new Date(now.getTime() + ms);
  if (until > now && (ms !== undefined || /^\d{4}-\d\d-\d\d/.test(text))) return until;
  throw new UsageError(`--until ${text} is no time to come: write how long (30d), or 2026-12-31`);
}
