import { serverOf } from "../database/server_address.ts";
import { type DatabaseTls, readDatabaseTls } from "./database_tls.ts";
import type { Environment } from "./environment.ts";
import { Secret } from "./secret.ts";
import { SettingsError } from "./settings_error.ts";
import { refuse, type UrlSource } from "./url_source.ts";

/** One database that the relay serves. The first one is `home`. */
export type DatabaseSettings =
  | {
    readonly kind: "postgres";
    readonly name: string;
    /** Which setting names it. */
    readonly variable: string;
    readonly url: Secret;
    /** `host/name`, for logs and pages. */
    readonly display: string;
    readonly tls: DatabaseTls;
    /** The host name says that a pooler answers, which has no LISTEN. */
    readonly pooled: boolean;
  }
  | {
    readonly kind: "embedded";
    readonly name: string;
    readonly directory: string;
    readonly display: string;
  };

const FIRST = "DATABASE_URL";
const EXAMPLE = "postgres://user:password@host:5432/name";

/** Reads `DATABASE_URL`, `DATABASE_URL_<NAME>` and the `_UNPOOLED` form of each; home comes first, then by name. */
export function readDatabaseUrls(environment: Environment): readonly DatabaseSettings[] {
  const bases = new Set<string>();
  for (const name of environment.names) {
    if (name !== FIRST && !name.startsWith(`${FIRST}_`)) continue;
    bases.add(name.replace(/_FILE$/, "").replace(/_UNPOOLED$/, ""));
  }
  if (bases.size > 0 && !bases.has(FIRST)) {
    const other = [...bases][0] ?? FIRST;
    throw new SettingsError(
      FIRST,
      `Cannot use ${other} alone: ${FIRST}, the home database, is missing; name one of your databases ${FIRST}`,
    );
  }
  const databases: DatabaseSettings[] = [];
  const owners = new Map<string, string>();
  for (const base of [...bases].sort()) {
    const variable = environment.has(`${base}_UNPOOLED`) ? `${base}_UNPOOLED` : base;
    // The pooled form is read too, so that "both NAME and NAME_FILE" is found in it as well.
    const pooled = environment.get(base);
    const url = environment.get(`${base}_UNPOOLED`) ?? pooled;
    if (url === undefined) continue;
    const database = parseDatabaseUrl(url, {
      ...{ variable, name: databaseName(base) },
      readFile: environment.readFile,
    });
    const owner = owners.get(database.display);
    if (owner !== undefined) {
      throw new SettingsError(
        variable,
        `Cannot use both ${owner} and ${variable}: they name the same database, ${database.display}; remove one`,
      );
    }
    owners.set(database.display, variable);
    databases.push(database);
  }
  return databases;
}

/** Reads one database URL; its text appears in no error, since it holds a password. */
export function parseDatabaseUrl(
  url: string,
  options: UrlSource & { readonly name: string },
): DatabaseSettings {
  const { variable, name } = options;
  if (url.startsWith("embedded:")) {
    const directory = url.slice("embedded:".length);
    if (directory === "" || directory.startsWith("//")) {
      throw refuse(options, "embedded: needs a directory", "write embedded:./data");
    }
    return { kind: "embedded", name, directory, display: `embedded ${directory}` };
  }
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^postgres(ql)?:$/.test(parsed.protocol) || parsed.hash !== "") {
    throw refuse(
      options,
      `it is no URL of the form ${EXAMPLE}`,
      "correct it, and write special characters of the password as %40 for @, %3A for :, %2F for / and %23 for #",
    );
  }
  if (/%(?![\dA-Fa-f]{2})/.test(url)) {
    throw refuse(options, "a % in it is not followed by two hex digits", "write %25 for %, in the password too");
  }
  if (!isUtf8(url)) {
    throw refuse(options, "a %… in it is no UTF-8", "write ü as %C3%BC, and % as %25");
  }
  const { host, port } = serverOf(url);
  const database = parsed.pathname.slice(1);
  if (host === "") throw refuse(options, "it names no host", `write ${EXAMPLE}`);
  if (database === "") throw refuse(options, "it names no database", `write ${EXAMPLE}`);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw refuse(options, "its port is none from 1 to 65535", `write ${EXAMPLE}`);
  }
  const display = `${host.includes(":") ? `[${host}]` : host}${port === 5432 ? "" : `:${port}`}/${database}`;
  const pooled = /-pooler\./.test(host) || parsed.searchParams.get("pgbouncer") === "true";
  const tls = readDatabaseTls(parsed.searchParams, options);
  return { kind: "postgres", name, variable, url: new Secret(url), display, tls, pooled };
}

function isUtf8(encoded: string): boolean {
  try {
    decodeURIComponent(encoded);
    return true;
  } catch {
    return false;
  }
}

/** The setting that names a database, without `_UNPOOLED`. */
export function databaseVariable(name: string): string {
  return name === "home" ? FIRST : `${FIRST}_${name.toUpperCase()}`;
}

function databaseName(base: string): string {
  if (base === FIRST) return "home";
  const name = base.slice(FIRST.length + 1).toLowerCase();
  if (name === "" || name === "home" || name === "file" || name === "unpooled" || !/^[a-z0-9_]+$/.test(name)) {
    throw new SettingsError(
      base,
      `Cannot use ${base}: ${name === "" ? "it ends without a name" : `${name} cannot be a database's name`}; ` +
        `write ${FIRST}_SHOP, of letters, digits and _`,
    );
  }
  return name;
}
