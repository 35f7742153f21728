import type { Connection } from "./connection.ts";
import { MailchuteError } from "./error.ts";
import { field } from "./field.ts";
import { refuse } from "./finding.ts";
import { CALL, check, TIMEOUT } from "./options.ts";
import { isFinal } from "./state.ts";
import type { MessageStatus } from "./status.ts";

/** How to wait for a mail's end. */
export interface WaitOptions {
  /** Longest wait; 1 to 2,147,483,647. @default {60_000} */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait early, with its own reason. */
  readonly signal?: AbortSignal | undefined;
  /** Where to ask, outside of the transaction that queued the mail. @default the mailer's `db` */
  readonly tx?: Connection | undefined;
}

const WHAT = "Cannot wait for the mail";
const DEFAULT_MS = 60_000;
/** The first looks are close together, since most mails are sent at once; the last ones are no load. */
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;

const OPTIONS = {
  ...CALL,
  timeoutMs: TIMEOUT,
  signal: field((signal, fault) => {
    if (!(signal instanceof AbortSignal)) fault("it is not an AbortSignal");
    return signal;
  }),
};

/** See {@linkcode Mailer.wait}. */
export async function wait(
  get: (options: Pick<WaitOptions, "tx">) => Promise<MessageStatus | undefined>,
  options: WaitOptions = {},
): Promise<MessageStatus> {
  const { timeoutMs = DEFAULT_MS, signal, tx } = check<WaitOptions>(OPTIONS, options, WHAT);
  const late = AbortSignal.timeout(timeoutMs);
  const ended = signal === undefined ? late : AbortSignal.any([late, signal]);
  // A database that is silent has a deadline of its own, which may be later.
  const over = new Promise<undefined>((resolve) => {
    ended.addEventListener("abort", () => resolve(undefined));
  });
  let state = "not known";
  for (let pauseMs = FIRST_PAUSE_MS;; pauseMs = Math.min(pauseMs * 1.5, MAX_PAUSE_MS)) {
    signal?.throwIfAborted();
    const status = await Promise.race([get({ tx }), over]);
    if (status !== undefined) {
      if (isFinal(status.state)) return status;
      state = status.state;
      await pause(pauseMs, ended);
    } else if (!ended.aborted) refuse(WHAT, [{ path: "id", message: "this app has no committed mail with it" }]);
    signal?.throwIfAborted();
    if (late.aborted) {
      throw new MailchuteError(
        "timeout",
        `${WHAT}: it is ${state} after ${timeoutMs} ms, and goes on without us`,
      );
    }
  }
}

/** Waits, and no longer than until the signal. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}
