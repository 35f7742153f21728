/**
 * A setting that stops the start. The message is one sentence: what we cannot do, because of what, and the fix. When
 * several are wrong, a line for each.
 */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
  /** The variable to look at; the first of several. */
  readonly variable: string;
  /** One for each setting that is wrong; this one, when it is the only one. */
  readonly each: readonly SettingsError[];

  constructor(
    variable: string,
    message: string,
    options: { readonly cause?: unknown; readonly each?: readonly SettingsError[] } = {},
  ) {
    super(hideCredentials(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.variable = variable;
    this.each = options.each ?? [this];
  }
}

/** What was written is quoted, and may be the URL of another setting. The advice shows how one is written. */
function hideCredentials(message: string): string {
  return message.replaceAll(/:\/\/(?!user:password@)[^\s:/@]*:[^\s"]*@/g, "://**@");
}
