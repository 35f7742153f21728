import { expect } from "bun:test";
import { createMailer, type Mailer, type MessageInput } from "../../mod.ts";
import { rejects } from "./cases.ts";

/** A mail that may be sent as it is. */
export const MESSAGE = { from: "a@b.example", to: "c@d.example", subject: "s", text: "t" } satisfies MessageInput;

/** An attachment that may be sent as it is. */
export const FILE = { filename: "a.txt", content: new Uint8Array([104, 105]) };

/** A mailer whose mails must not reach any database. */
export const offline: Mailer = createMailer({ query: () => Promise.reject(new Error("Nothing may be asked")) });

/** Returns the request that the database would get for a mail with these fields. */
export async function requestOf(message: object, defaults: object = {}): Promise<Readonly<Record<string, unknown>>> {
  const mail = createMailer({ query: () => {} }, defaults);
  const { values } = await mail.statement({ ...MESSAGE, ...message } as MessageInput);
  return JSON.parse(String(values[0]));
}

/** Returns the reason of the one issue that a mail with these fields has. */
export async function refused(message: object, path: string): Promise<string> {
  const error = await rejects(offline.send({ ...MESSAGE, ...message } as MessageInput), "validation_error", path);
  expect(error.issues).toHaveLength(1);
  return error.issues[0]?.message ?? "";
}
