import type { SendOptions } from "../mailer.ts";
import { quote } from "../field.ts";
import type { MessageFields } from "../message.ts";
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
  > {}

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
] as const;

/** Tells whether an issue of the client concerns one of them. */
export function isQueueField(name: string): boolean {
  return [...OPTIONS, ...FIELDS].some((known) => known === name);
}

/** Parts the field `mailchute` into what belongs to the mail and what to its sending; their values are the client's to check. */
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
