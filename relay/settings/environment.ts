import { errorCode } from "../error_code.ts";
import { SettingsError } from "./settings_error.ts";

/** The environment as settings see it: each `NAME` may also come as `NAME_FILE`, the path of a file that holds it. */
export interface Environment {
  /** Every name that is set, without those that Kubernetes injects. */
  readonly names: readonly string[];
  /** True when the setting is given, in either form. */
  has(name: string): boolean;
  /** @throws {SettingsError} when both forms are set, the value is empty or the file cannot be read */
  get(name: string): string | undefined;
  readonly readFile: (path: string) => string;
}

// Django's own defaults for these two are empty strings, and compose files pass them on.
const MAY_BE_EMPTY = new Set(["EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD"]);

/** Wraps the variables of a process; `readFile` is called only for `NAME_FILE` and for a certificate that is named. */
export function createEnvironment(
  variables: Readonly<Record<string, string | undefined>>,
  readFile: (path: string) => string,
): Environment {
  const names = Object.keys(variables).filter((name) =>
    variables[name] !== undefined && !isInjectedByKubernetes(name, variables[name])
  ).sort();
  const given = new Set(names);

  function get(name: string): string | undefined {
    const fileName = `${name}_FILE`;
    const value = given.has(name) ? variables[name] : undefined;
    const path = given.has(fileName) ? variables[fileName] : undefined;
    if (value !== undefined && path !== undefined) {
      throw new SettingsError(name, `Cannot use both ${name} and ${fileName}: they say the same thing; remove one`);
    }
    if (path === undefined) return value === undefined ? undefined : checkEmpty(value, name, "");
    // An editor ends a file with a newline that is no part of the password, and one of Windows may begin it with a
    // mark.
    const held = readNamedFile(path, { fileName, readFile }).replace(/^\ufeff|\r?\n$/g, "");
    if (/[\0\ufffd]/.test(held)) {
      throw new SettingsError(
        fileName,
        `Cannot read the file that ${fileName} names, ${JSON.stringify(path)}: it is not UTF-8; save it as UTF-8`,
      );
    }
    return checkEmpty(held, name, `_FILE`);
  }

  return { names, readFile, get, has: (name) => given.has(name) || given.has(`${name}_FILE`) };
}

/** Reads a file that a setting names. */
export function readNamedFile(
  path: string,
  options: { readonly fileName: string; readonly readFile: (path: string) => string },
): string {
  try {
    return options.readFile(path);
  } catch (cause) {
    const code = errorCode(cause) || "it cannot be opened";
    throw new SettingsError(
      options.fileName,
      `Cannot read the file that ${options.fileName} names, ${JSON.stringify(path)}: ${code}; ` +
        "correct the path or let the relay's user read it",
      { cause },
    );
  }
}

// An empty value is most often a secret that was not filled in. Taken as "not set" it would start the playground in
// production; so it stops the start instead.
function checkEmpty(value: string, name: string, suffix: string): string {
  if (value !== "" || MAY_BE_EMPTY.has(name)) return value;
  const what = suffix === "" ? "it is set but empty" : "the file is empty";
  throw new SettingsError(name, `Cannot use ${name}${suffix}: ${what}; give it a value or remove it`);
}

// For a service called "relay" (or "email") Kubernetes gives every pod RELAY_PORT=tcp://…, RELAY_SERVICE_HOST and so
// on.
function isInjectedByKubernetes(name: string, value: string | undefined): boolean {
  if (/^(RELAY|EMAIL)_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$/.test(name)) return true;
  if (/^(RELAY|EMAIL)_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name)) return true;
  return /^(RELAY|EMAIL)_PORT$/.test(name) && /^(tcp|udp|sctp):\/\//.test(value ?? "");
}
