import type { Query } from "./statement.ts";

const ENQUEUE_MANY =
  "select batch, created, existing, refused::text as refused from mailchute.enqueue_many_v1($1::text::jsonb)";

/** What one request of a bulk send has beside its recipients. */
export interface EnqueueManyOptions {
  /** The same for all requests of a call; its last 8 digits are 0, and the place of each recipient goes there. */
  readonly id: string;
  readonly batch: string | undefined;
  /** The place of its first recipient. */
  readonly first: number;
  /** Leaves out recipients with a fault. */
  readonly skip: boolean;
}

/**
 * Puts a part of a bulk send into the queue.
 *
 * @param entries recipients as JSON
 * @param mail what they share, as JSON; only the first part needs it
 */
export function enqueueMany(options: EnqueueManyOptions, entries: readonly string[], mail: string | undefined): Query {
  const head = JSON.stringify(options).slice(0, -1);
  const shared = mail === undefined ? "" : `,"mail":${mail}`;
  return { text: ENQUEUE_MANY, values: [`${head}${shared},"recipients":[${entries.join()}]}`] };
}
