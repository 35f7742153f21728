import { prng } from "../mime/prng.ts";

/** What the SMTP server does to one mail. */
export type MailFault =
  /** Says this, in place of yes. */
  | { readonly phase: "mail" | "rcpt" | "data" | "dot"; readonly says: string; readonly ends?: undefined }
  /**
   * Ends the connection: FIN or RST. At `body`, before the final dot was read; at `dot`, after it; at `answer`, after
   * its 250 was written.
   */
  | { readonly phase: "mail" | "rcpt" | "data" | "body" | "dot" | "answer"; readonly ends: "drop" | "reset" }
  /** Lets its answer to the final dot wait. */
  | { readonly phase: "dot"; readonly waitsMs: number; readonly ends?: undefined };

/** From this time on that a mail comes, it is taken: each run has to end. */
const LAST_FAULT = 3;

/**
 * Decides by the seed what becomes of a mail that comes for the `time`th time (counted from 1); undefined: it is taken.
 * It hangs on nothing else, so that one seed treats one mail alike in every run.
 */
export function faultOf(seed: number, token: string, time: number): MailFault | undefined {
  const { int, pick } = prng(Number(Bun.hash(`${seed}/${token}/${time}`) & 0xffffffffn));
  if (time > LAST_FAULT || int(100) >= (time === 1 ? 9 : 25)) return undefined;
  const ends = pick<"drop" | "reset">(["drop", "reset"]);
  return pick<MailFault>([
    { phase: "mail", says: "451 4.3.0 not now" },
    { phase: "mail", ends },
    { phase: "rcpt", says: "450 4.2.1 mailbox busy" },
    { phase: "rcpt", says: "550 5.1.1 no such user" },
    { phase: "rcpt", ends },
    { phase: "data", says: "451 4.3.0 not now" },
    { phase: "data", ends },
    { phase: "body", ends },
    { phase: "dot", says: "451 4.3.0 not now" },
    { phase: "dot", says: "554 5.7.1 not wanted" },
    { phase: "dot", says: "421 4.3.2 shutting down" },
    { phase: "dot", ends },
    { phase: "dot", ends },
    { phase: "dot", waitsMs: 50 + int(900) },
    { phase: "dot", waitsMs: 50 + int(900) },
    { phase: "answer", ends },
  ]);
}
