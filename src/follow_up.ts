import type { Address, Mailbox } from "./address.ts";
import { type Driver, run } from "./connection.ts";
import { type Fault, field, mailbox, time } from "./field.ts";
import { refuse } from "./finding.ts";
import {
  batchStatus,
  cancel,
  cancelMany,
  reschedule,
  status,
  suppress,
  suppression,
  unsuppress,
} from "./follow_up_statement.ts";
import { isUuid } from "./is_uuid.ts";
import type { CallOptions, Mailer } from "./mailer.ts";
import { CALL, check, KEY } from "./options.ts";
import type { Query } from "./statement.ts";
import { type BatchStatus, type MessageStatus, parseDated, parseStatus } from "./status.ts";
import { type Suppression, suppressionReason } from "./suppression.ts";
import { wait } from "./wait.ts";

/** Where calls run. */
export interface Place {
  /** @param isChange false: it may run outside of a transaction, whatever the mailer asks for */
  choose(tx: unknown, what: string, isChange?: boolean): Driver;
  readonly timeoutMs: number;
}

/** How a call runs, and the head of its errors. */
interface Call {
  readonly what: string;
  readonly options: CallOptions | undefined;
  readonly isChange?: boolean;
}

const GET = "Cannot get the status";
const CANCEL = "Cannot cancel the mail";
const SUPPRESS = "Cannot change the suppression";

/**
 * Reads a point in time that there is: it goes to the database as a time, whose refusal has no path and would undo the
 * app's own work.
 */
function moment(value: unknown, fault: Fault): string {
  const text = time(value, fault);
  const day = text.slice(0, 10);
  // Of a 30th of February some runtimes make the 2nd of March; and few read a zone without its colon.
  const isTime = isFinite(Date.parse(text.replace(/(\d\d)(\d\d)$/, "$1:$2"))) && new Date(day).toJSON().startsWith(day);
  if (text !== "" && !isTime) fault("it is not a time");
  return text;
}

/** Makes what a mailer does with mails after they were queued. */
export function followUp(
  { choose, timeoutMs }: Place,
): Pick<Mailer, "get" | "cancel" | "reschedule" | "wait" | "suppressions"> {
  /** Asks the database for one value. */
  async function ask<T = string>(query: Query, { what, options = {}, isChange = true }: Call): Promise<T | undefined> {
    const { tx } = check<CallOptions>(CALL, options, what);
    return (await run(choose(tx, what, isChange), query, { what, timeoutMs })).answer as T | undefined ?? undefined;
  }

  /** Asks about a mail. */
  async function askAbout<T = string>(id: string, query: Query, call: Call): Promise<T | undefined> {
    // An id that was never kept is a fault of the app, and no unknown mail.
    if (typeof id !== "string") refuse(call.what, [{ path: "id", message: "it is not a text" }]);
    if (isUuid(id)) return await ask(query, call);
    // Not for the database: inside a transaction, its refusal of a bad UUID would undo the app's own work.
    check(CALL, call.options ?? {}, call.what);
    return undefined;
  }

  /** Asks about an address. */
  async function askOf(address: Address, query: (email: string) => Query, call: Call): Promise<string | undefined> {
    // An empty string is no address: it has no default.
    const { email } = check<Record<"address", Mailbox>>(
      { address: field(mailbox) },
      { address: address ?? "" },
      call.what,
    ).address;
    return await ask(query(email), call);
  }

  async function getOne(id: string, options: CallOptions | undefined): Promise<MessageStatus | undefined> {
    const answer = await askAbout(id, status(id), { what: GET, options, isChange: false });
    return answer === undefined ? undefined : parseStatus(answer);
  }

  async function getBatch(which: object, options: CallOptions | undefined): Promise<BatchStatus | undefined> {
    const { batch = "" } = check<{ readonly batch?: string }>({ batch: KEY }, which, GET);
    if (batch === "") refuse(GET, [{ path: "batch", message: "it is missing" }]);
    const answer = await ask(batchStatus(batch), { what: GET, options, isChange: false });
    return answer === undefined ? undefined : parseDated<BatchStatus>(answer);
  }

  return {
    get:
      (async (which: string | object, options?: CallOptions) =>
        typeof which === "object" ? await getBatch(which, options) : await getOne(which, options)) as Mailer["get"],

    cancel: (async (which: string | object, options?: CallOptions) => {
      const call = { what: CANCEL, options };
      if (typeof which !== "object") return await askAbout(which, cancel(which), call) ?? "unknown";
      const chosen = check<object>({ batch: KEY, tag: KEY }, which, CANCEL);
      if (Object.keys(chosen).length !== 1) {
        refuse(CANCEL, [{ path: "batch", message: "give either batch or tag, and not both" }]);
      }
      return Number(await ask(cancelMany(chosen), call));
    }) as Mailer["cancel"],

    async reschedule(id, at, options) {
      const what = "Cannot reschedule the mail";
      // An empty string is no time: `at` has no default.
      const parsed = check<Record<"at", string>>({ at: field(moment) }, { at: at ?? "" }, what).at;
      return await askAbout<"rescheduled" | "too_late">(id, reschedule(id, parsed), { what, options }) ?? "unknown";
    },

    wait: (id, options) => wait((call) => getOne(id, call), options),

    suppressions: {
      async add(address, reason = "manual", options) {
        check({ reason: field(suppressionReason) }, { reason }, SUPPRESS);
        await askOf(address, (email) => suppress(email, reason), { what: SUPPRESS, options });
      },

      async get(address, options) {
        const answer = await askOf(address, suppression, { what: GET, options, isChange: false });
        return answer === undefined ? undefined : parseDated<Suppression>(answer);
      },

      async remove(address, options) {
        return await askOf(address, unsuppress, { what: SUPPRESS, options }) === "true";
      },
    },
  };
}
