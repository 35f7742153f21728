import { SettingsError } from "./settings_error.ts";

/** Where a URL was found, for its error texts, and how to read the files that it names. */
export interface UrlSource {
  readonly variable: string;
  readonly readFile: (path: string) => string;
}

/** A setting that stops the start because of a URL. */
export function refuse({ variable }: Pick<UrlSource, "variable">, because: string, fix: string): SettingsError {
  return new SettingsError(variable, `Cannot use ${variable}: ${because}; ${fix}`);
}
