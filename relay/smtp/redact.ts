import { base64, type Login, xoauth2Response } from "./auth.ts";
import { MAX_TEXT_CHARACTERS, type ServerReply } from "./reply.ts";

/**
 * Takes the credentials out of what the server says during AUTH: some answer a command they do not know by repeating
 * it.
 *
 * @example
 * ```ts
 * const text = redact("no such command: AUTH PLAIN AGFubgBzM2NyZXQ=", { user: "ann", secret: "s3cret" });
 * if (text !== "no such command: AUTH PLAIN ****") throw new Error("unexpected");
 * ```
 */
export function redact(text: string, { user, secret }: Login): string {
  const responses = [base64(`\0${user}\0${secret}`), xoauth2Response(user, secret)];
  const secrets = [...responses, base64(secret), base64(user), secret];
  let clean = text;
  // The longest first: a password may be a part of another of these.
  for (const each of secrets.filter((each) => each !== "").sort((a, b) => b.length - a.length)) {
    clean = clean.replaceAll(each, "****");
  }
  return user === "" ? clean : clean.replaceAll(wholeWord(user), "****");
}

/** A user called `relay` is not to be seen in `relaying denied`. */
function wholeWord(text: string): RegExp {
  const literal = text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  return new RegExp(`(?<![\\p{L}\\p{N}])${literal}(?![\\p{L}\\p{N}])`, "gu");
}

/**
 * Redacts a reply. The text is made anew from the whole lines: in a text that was cut, half a secret could stand at the
 * end.
 */
export function redactReply(reply: ServerReply, login: Login): ServerReply {
  const { code, enhanced } = reply;
  const lines = reply.lines.map((line) => redact(line, login));
  const wasCut = reply.text.length >= MAX_TEXT_CHARACTERS - 1;
  const text = wasCut ? lines.join(" ").slice(0, MAX_TEXT_CHARACTERS).toWellFormed() : redact(reply.text, login);
  return enhanced === undefined ? { code, text, lines } : { code, enhanced, text, lines };
}
