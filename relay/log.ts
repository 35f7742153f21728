import { hideUrlCredentials, maskAddresses } from "./mask.ts";

export { maskAddress, maskAddresses } from "./mask.ts";

/** From the least to the most important. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** What a line says besides its message. Strings are masked at every depth, errors become name, message and code. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Writes lines. No method ever throws: a relay must not lose a mail because of what it had to say about it. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** Returns a log whose lines all carry these fields. */
  with(fields: LogFields): Log;
}

/** Options of `createLog`. */
export interface LogOptions {
  /** Takes one line, without its newline. */
  readonly write: (line: string) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** @default {"info"} */
  readonly level?: LogLevel;
  /** @default {"json"} */
  readonly format?: "json" | "pretty";
  /** @default {"masked"} */
  readonly addresses?: "masked" | "full";
}

// pino's numbers, so that its readers and every log viewer know them.
const NUMBER = { debug: 20, info: 30, warn: 40, error: 50 } as const;
const MAX_STRING_LENGTH = 8_192;
const MAX_DEPTH = 6;
const MAX_ENTRIES = 100;

/**
 * Creates a log: JSON lines with pino's field names (`level`, `time`, `msg`), or text for people.
 *
 * @example One line
 * ```ts
 * import { createLog } from "./log.ts";
 * const log = createLog({ write: console.log, now: () => 0 });
 * log.info("deferred", { to: "ann@example.com" }); // {"level":30,"time":0,"msg":"deferred","to":"a**@example.com"}
 * ```
 */
export function createLog(options: LogOptions): Log {
  const { write, now, level: least = "info", format = "json", addresses = "masked" } = options;
  // The credentials of a URL are hidden even where addresses may be seen.
  const clean = addresses === "full" ? hideUrlCredentials : maskAddresses;

  function line(level: LogLevel, message: string, fields: LogFields): void {
    if (NUMBER[level] < NUMBER[least]) return;
    try {
      const time = now();
      const plain = plainFields(fields, clean);
      const msg = cleanText(message, clean);
      write(
        format === "json"
          ? JSON.stringify({ level: NUMBER[level], time, msg, ...plain })
          : prettyLine({ level, time, msg, fields: plain }),
      );
    } catch {
      // Nobody is left to tell: the place to complain to is what has just failed.
    }
  }

  function create(base: LogFields): Log {
    const at = (level: LogLevel) => (message: string, fields: LogFields = {}) =>
      line(level, message, { ...base, ...fields });
    return {
      debug: at("debug"),
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
      with: (fields) => create({ ...base, ...fields }),
    };
  }
  return create({});
}

type Clean = (text: string) => string;

function plainFields(fields: LogFields, clean: Clean): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const key of Object.keys(fields)) {
    // A field must not overwrite what the reader sorts by.
    const name = key === "level" || key === "time" || key === "msg" ? `${key}_` : cleanText(key, clean);
    const value = plainEntry(fields, key, clean, 0);
    if (value !== undefined) out[name] = value;
  }
  return out;
}

// One field that throws when it is read costs itself and not the line.
function plainEntry(owner: object, key: string, clean: Clean, depth: number): unknown {
  try {
    return plainValue((owner as Record<string, unknown>)[key], clean, depth);
  } catch {
    return "[unreadable]";
  }
}

function plainValue(value: unknown, clean: Clean, depth: number): unknown {
  if (typeof value === "string") return cleanText(value, clean);
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "function" || typeof value === "symbol") return `[${typeof value}]`;
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) return "[deeper]"; // also ends circles
  if (value instanceof Error) return plainError(value, clean, depth);
  if (value instanceof Uint8Array) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => plainValue(item, clean, depth + 1));
  if ("toJSON" in value && typeof value.toJSON === "function") return plainValue(value.toJSON(), clean, depth + 1);
  const out: Record<string, unknown> = {};
  for (const key of Object.keys(value).slice(0, MAX_ENTRIES)) {
    out[cleanText(key, clean)] = plainEntry(value, key, clean, depth + 1);
  }
  return out;
}

// Own fields of a driver's error are left out: they hold queries, parameters and connection strings.
function plainError(error: Error, clean: Clean, depth: number): Record<string, unknown> {
  return {
    type: cleanText(error.name, clean),
    message: cleanText(error.message, clean),
    ...("code" in error ? { code: plainValue(error.code, clean, depth + 1) } : {}),
    ...(error.cause === undefined ? {} : { cause: plainValue(error.cause, clean, depth + 1) }),
  };
}

function cleanText(text: string, clean: Clean): string {
  // Cut first: the work on one line stays bounded. An address cut in two at the end has lost its domain.
  return clean(text.length > MAX_STRING_LENGTH ? `${text.slice(0, MAX_STRING_LENGTH)}…` : text);
}

function prettyLine(
  entry: { readonly level: LogLevel; readonly time: number; readonly msg: string; readonly fields: LogFields },
): string {
  const clock = new Date(entry.time).toISOString().slice(11, 23);
  const shown = Object.entries(entry.fields).map(([key, value]) =>
    `${key}=${typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)}`
  );
  const line = [clock, entry.level.toUpperCase().padEnd(5), entry.msg, ...shown].join(" ");
  // A reply with a newline or an escape sequence must not forge a line or paint the terminal.
  return line.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
