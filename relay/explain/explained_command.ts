import type { ExplainedMail, Surroundings } from "./explained_mail.ts";

// The commands that an explanation names, as they are to be typed.

/** Every command but `explain` means the home database unless it is told another. */
export function inDatabase({ database }: Surroundings): string {
  return database === "home" ? "" : ` --database ${database}`;
}

/** The command that tries a mail again; as `retry_message`, it wants to be told that somebody may get it twice. */
export function retryOf(
  mail: ExplainedMail,
  { what, around }: { readonly what: string; readonly around: Surroundings },
): string {
  const waiting = mail.recipients.filter(({ state }) => !["sent", "bounced", "suppressed"].includes(state));
  const mayHaveIt = waiting.some(({ address, state }) =>
    state === "held" || mail.attempts.some((each) => each.outcome === "uncertain" && each.address === address)
  );
  const accept = mayHaveIt ? " --accept-duplicate" : "";
  const twice = mayHaveIt ? "; the server may have it already" : "";
  return `mailchute retry ${mail.id}${accept}${inDatabase(around)} (${what}${twice})`;
}
