import type { Query } from "./statement.ts";

// What is asked about mails that were queued. As text: drivers may be set to read JSON and times in ways of their own.
const STATUS = "select mailchute.status_v1($1::text::uuid)::text as answer";
const BATCH_STATUS = "select mailchute.batch_status_v1($1)::text as answer";
const CANCEL = "select mailchute.cancel_v1($1::text::uuid) as answer";
const CANCEL_MANY = "select mailchute.cancel_many_v1($1::text::jsonb) as answer";
const RESCHEDULE = "select mailchute.reschedule_v1($1::text::uuid, $2::text::timestamptz) as answer";
const SUPPRESS = "select mailchute.suppress_v1($1, $2)::text as answer";
const SUPPRESSION = "select mailchute.suppression_v1($1)::text as answer";
const UNSUPPRESS = "select mailchute.unsuppress_v1($1)::text as answer";

/** Asks for a mail's status. */
export function status(id: string): Query {
  return { text: STATUS, values: [id] };
}

/** Takes a mail back. */
export function cancel(id: string): Query {
  return { text: CANCEL, values: [id] };
}

/** Moves a mail to another time. */
export function reschedule(id: string, at: string): Query {
  return { text: RESCHEDULE, values: [id, at] };
}

/** Asks how far a batch is. */
export function batchStatus(batch: string): Query {
  return { text: BATCH_STATUS, values: [batch] };
}

/** Takes all mails of a batch, or with a tag, back. */
export function cancelMany(which: object): Query {
  return { text: CANCEL_MANY, values: [JSON.stringify(which)] };
}

/** Puts an address on the list of those that get no mail. */
export function suppress(address: string, reason: string): Query {
  return { text: SUPPRESS, values: [address, reason] };
}

/** Asks why an address gets no mail. */
export function suppression(address: string): Query {
  return { text: SUPPRESSION, values: [address] };
}

/** Takes an address off the list. */
export function unsuppress(address: string): Query {
  return { text: UNSUPPRESS, values: [address] };
}
