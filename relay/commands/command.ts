import type { ParseArgsConfig } from "node:util";
import type { Sql } from "postgres";
import { readDatabases, SettingsError } from "../config.ts";
import { isOfPooler } from "../database/connection_pool.ts";
import { connect, type ConnectOptions, DatabaseProblem, unreachable } from "../database/database.ts";
import { schemaProblem, schemaState } from "../database/schema_state.ts";
import { errorCode } from "../error_code.ts";
import { checkDatabaseCertificates } from "../settings/certificates.ts";
import type { Clock } from "../time/clock.ts";

/** What a command is given of the world outside. */
export interface CommandContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => string;
  /** The files in a folder and in those below it, as paths within it with slashes. */
  readonly listFiles: (folder: string) => readonly string[];
  /** Reads a file piece by piece; `-` is stdin. */
  readonly open: (path: string) => AsyncIterable<Uint8Array>;
  /**
   * Data, for people or the next program. What it answers resolves when a slow reader has taken enough: for those who
   * print much.
   */
  readonly print: (text: string) => unknown;
  /** Everything else, for people. */
  readonly tell: (text: string) => void;
  /** Calls back after so long: for what takes its time. */
  readonly after: Clock["after"];
  /** stdout is a terminal. */
  readonly terminal: boolean;
  /** The embedded database of the playground or of `embedded:` URLs, if one runs here. */
  readonly embeddedUrl: (directory: string) => string | undefined;
}

/** Exit codes (sysexits.h for 75). */
export const EXIT = { ok: 0, failed: 1, usage: 2, tryAgain: 75 } as const;

/** The options of a command line, as parsed. */
export type Options = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

/** One command of the program. */
export interface Command {
  readonly name: string;
  /** What follows the name, such as `ID…`. */
  readonly usage: string;
  /** Takes words though its usage begins with an option. @default {false} */
  readonly takesWords?: boolean;
  /** The options whose values may be empty; `all`: words too. @default {[]} */
  readonly takesEmpty?: readonly string[] | "all";
  /** The exit code for a command line that makes no sense. @default {EXIT.usage} */
  readonly usageExit?: number;
  /** One line for `--help`. */
  readonly summary: string;
  readonly options: NonNullable<ParseArgsConfig["options"]>;
  /** @returns the exit code */
  run(context: CommandContext, words: readonly string[], options: Options): Promise<number>;
}

/** A command line that makes no sense; exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** `--database NAME`, for commands on one database. */
export const DATABASE_OPTION = { database: { type: "string" } } as const;

/** `--json`, for commands that read. */
export const JSON_OPTION = { json: { type: "boolean" } } as const;

/** A database that a command works on. */
export interface FoundDatabase extends ConnectOptions {
  /** A relay starts it, and nobody else. */
  readonly isEmbedded: boolean;
}

/** The databases of the environment, or the playground's. */
export function findDatabases(context: CommandContext): readonly FoundDatabase[] {
  const databases = readDatabases(context.env, context.readFile);
  checkDatabaseCertificates(databases);
  const found = databases.map((settings) => {
    const { name, display } = settings;
    if (settings.kind === "postgres") {
      const { url, tls, pooled } = settings;
      return { name, display, url: url.reveal(), tls, pooled, isEmbedded: false };
    }
    const url = context.embeddedUrl(settings.directory);
    if (url === undefined) {
      throw new DatabaseProblem(
        `Cannot use the database ${display}: no relay has started it yet; start one (mailchute run)`,
      );
    }
    return { name, display, url, pooled: false, address: "embedded", isEmbedded: true };
  });
  if (found.length > 0) return found;
  const url = context.embeddedUrl(`${context.env.RELAY_STATE_DIR ?? ".mailchute"}/postgres`);
  if (url === undefined) {
    throw new SettingsError(
      "DATABASE_URL",
      "Cannot find a database: set DATABASE_URL=postgres://user:password@host:5432/name",
    );
  }
  return [{ name: "home", display: "the playground", url, pooled: false, address: "embedded", isEmbedded: true }];
}

/** The database that `--database` names. @param name undefined: home */
export function chooseDatabase(context: CommandContext, name: unknown): FoundDatabase {
  const databases = findDatabases(context);
  const wanted = typeof name === "string" ? name.toLowerCase() : "home";
  const database = databases.find((each) => each.name === wanted);
  if (database !== undefined) return database;
  throw new UsageError(`No database is called ${wanted}: there are ${databases.map((each) => each.name).join(", ")}`);
}

/**
 * Runs `work` on the database that `--database` names (default: home), whose schema must be there unless `anySchema`.
 * With `ownPath` the role's search_path holds: for tables that are not ours.
 */
export async function withDatabase<T>(
  context: CommandContext,
  options: {
    readonly name: unknown;
    readonly anySchema?: boolean;
    readonly ownPath?: boolean;
    readonly isForOwner?: boolean;
  },
  work: (sql: Sql, database: ConnectOptions) => Promise<T>,
): Promise<T> {
  const database = chooseDatabase(context, options.name);
  const pinned = options.ownPath === true ? "all but its path" : "all";
  let sql = connect({ ...database, pinned: database.pooled ? undefined : pinned });
  try {
    const state = await schemaState(sql).catch(async (cause: unknown) => {
      if (!isOfPooler(cause)) throw cause;
      await sql.end({ timeout: 0 });
      sql = connect(database);
      return schemaState(sql);
    }).catch((cause: unknown) => {
      if (database.isEmbedded && errorCode(cause) === "ECONNREFUSED") {
        throw new DatabaseProblem(
          `Cannot use the database ${database.display}: the embedded Postgres does not run now; start the relay (mailchute run)`,
          { cause },
        );
      }
      if (isRefused(cause)) throw cause;
      throw unreachable(database.name, database.display, cause);
    });
    const problem = options.anySchema ? undefined : schemaProblem(state, database.display);
    if (problem !== undefined) throw new DatabaseProblem(problem);
    return await work(sql, database);
  } catch (cause) {
    if (!isRefused(cause)) throw cause;
    const [me] = await sql`select current_user as role`;
    const groups = "mailchute_viewer (to look), mailchute_admin (to change) or mailchute_relay (to purge)";
    throw new DatabaseProblem(
      `The role ${me?.role} may not do that on ${database.display} (${cause.message}): ` +
        `do it as the owner of the database${options.isForOwner === true ? "" : `, or as a member of ${groups}`}`,
      { cause },
    );
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/**
 * Runs `work` on the database that `--database` names, or on all, one after the other. Of several, one that cannot be
 * used is told, and keeps back none of the others; with `goesOn` it is told too when it is the only one, and the
 * command goes on with what it knows without.
 *
 * @returns what came of it, and how the command ends
 */
export async function inEachDatabase<T>(
  context: CommandContext,
  named: unknown,
  work: (sql: Sql, database: ConnectOptions) => Promise<T>,
  { goesOn = false }: { readonly goesOn?: boolean } = {},
): Promise<{
  readonly results: readonly T[];
  /** Those that cannot be used. */
  readonly away: readonly { readonly database: string; readonly error: string }[];
  readonly code: number;
}> {
  const names = typeof named === "string" ? [named] : findDatabases(context).map(({ name }) => name);
  const results: T[] = [];
  const away: { readonly database: string; readonly error: string }[] = [];
  for (const name of names) {
    try {
      results.push(await withDatabase(context, { name }, work));
    } catch (error) {
      if (names.length === 1 && !goesOn || !(error instanceof DatabaseProblem)) throw error;
      context.tell(error.message);
      away.push({ database: name, error: error.message });
    }
  }
  return { results, away, code: away.length === 0 ? EXIT.ok : EXIT.failed };
}

/** The role lacks a right (SQLSTATE 42501). */
function isRefused(error: unknown): error is Error {
  return error instanceof Error && errorCode(error) === "42501";
}

/** The text of a table with aligned columns. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()).join("\n");
}
