/** A setting that stops the start. The message is one sentence: what we cannot do, because of what, and the fix. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
  /** The variable to look at. */
  readonly variable: string;

  constructor(variable: string, message: string, options: { readonly cause?: unknown } = {}) {
    super(hideCredentials(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.variable = variable;
  }
}

/** What was written is quoted, and may be the URL of another setting. The advice shows how one is written. */
function hideCredentials(message: string): string {
  return message.replaceAll(/:\/\/(?!user:password@)[^\s:/@]*:[^\s"]*@/g, "://**@");
}
