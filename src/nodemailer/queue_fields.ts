import { quote } from "../field.ts";
import type { SendOptions } from "../mailer.ts";
import type { MessageFields } from "../message_input.ts";
import type { FilledTemplate } from "../stored_template.ts";
import type { AddFault, Data } from "./composed_mail.ts";

/** What only a queue knows, in the field `mailchute` of a message of nodemailer. */
export interface QueueFields extends
  SendOptions,
  Pick<
    MessageFields,
    | "tags"
    | "metadata"
    | "priority"
    | "scheduledAt"
    | "expiresAt"
    | "unsubscribe"
    | "onUncertain"
    | "stream"
    | "digest"
    | "overrideSuppression"
  > {
  /** One of the app's own in the database, in the place of subject, text and html. */
  readonly template?: FilledTemplate | undefined;
}

const OPTIONS = ["tx", "idempotencyKey"] as const;
const FIELDS = [
  "tags",
  "metadata",
  "priority",
  "scheduledAt",
  "expiresAt",
  "unsubscribe",
  "onUncertain",
  "stream",
  "digest",
  "overrideSuppression",
  "template",
] as const;

/**
 * Those that nothing but a queue could mean: beside the field `mailchute` they would be lost, and a mail with them
 * would not wait, or outlive its transaction.
 */
const OURS = ["tx", "idempotencyKey", "scheduledAt", "expiresAt", "onUncertain", "overrideSuppression"] as const;

/** Finds those that stand beside the field `mailchute` and not in it. */
export function findMisplaced(given: Data, add: AddFault): void {
  for (const name of OURS) {
    if (given[name] !== undefined) add(name, `it is for the queue, which reads it as mailchute: { ${name} }`);
  }
}

/** Tells whether an issue of the client concerns one of them. */
export function isQueueField(name: string): boolean {
  return [...OPTIONS, ...FIELDS].some((known) => known === name);
}

/**
 * Parts the field `mailchute` into what belongs to the mail and what to its sending; their values are the client's to
 * check.
 */
export function queueFieldsOf(
  given: unknown,
  add: AddFault,
): { readonly fields: Pick<QueueFields, (typeof FIELDS)[number]>; readonly options: SendOptions } {
  const isObject = typeof given === "object" && given !== null;
  if (given !== undefined && !isObject) add("mailchute", "it is not an object such as { idempotencyKey, tx, tags }");
  const data: Data = isObject ? given as Data : {};
  for (const name of Object.keys(data)) {
    if (!isQueueField(name)) add(`mailchute.${quote(name)}`, `it is none of ${[...OPTIONS, ...FIELDS].join(", ")}`);
  }
  return { fields: pick(data, FIELDS), options: pick(data, OPTIONS) };
}

function pick(data: Data, names: readonly string[]): object {
  return Object.fromEntries(names.filter((name) => data[name] !== undefined).map((name) => [name, data[name]]));
}
