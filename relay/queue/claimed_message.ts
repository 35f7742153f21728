import type { Values } from "../../src/template.ts";
import type { Lane } from "../drain/lane_shares.ts";

/** A message that this relay holds, with all it takes to compose and send it but the content. */
export interface ClaimedMessage {
  readonly seq: string;
  readonly lease: string;
  readonly lane: Lane;
  /** The number of the attempt that may begin now. */
  readonly attempt: number;
  /** True when a lease had run out, of this or another relay. */
  readonly takenOver: boolean;
  /** True when it was this relay's own, in this run. */
  readonly wasOurs: boolean;
  /** True when a holder was lost who may have sent it, and no attempt says so yet. */
  readonly unrecorded: boolean;
  /** Its last holder had said that it may be sent (only of messages that wait for a person when nobody knows). */
  readonly intended: boolean;
  /**
   * At how many crashes in a row it was in flight; with the one of the holder that it was taken over from, if nobody
   * asked that one to stop.
   */
  readonly crashes: number;
  /** Its holder died, or we ourselves hold it, while nothing else was in flight. */
  readonly wasAlone: boolean;
  readonly id: string;
  readonly app: string;
  readonly contentId: string;
  readonly from: { readonly email: string; readonly name: string | null };
  readonly replyTo: readonly { readonly email: string; readonly name?: string | null }[];
  readonly returnPath: string | null;
  readonly unsubscribe: string | null;
  readonly onUncertain: "retry" | "hold" | null;
  readonly stream: string | null;
  /** Of a mail that goes past the suppression list: for what reason its recipients are on it, by their positions. */
  readonly overridden?: Readonly<Record<number, string>> | undefined;
  /** How long its stream waits between attempts; undefined: as long as mail without a stream. */
  readonly backoffMs?: readonly number[] | undefined;
  /** The id of its batch. */
  readonly batch: string | null;
  /** Of a bulk send: the values for the names in its content. */
  readonly variables: Values | null;
  /** Epoch milliseconds: the later of enqueue and schedule. */
  readonly firstDueMs: number;
  readonly expiresAtMs: number | null;
  /** Epoch milliseconds: when a person last asked to try it again. */
  readonly retriedAtMs: number | null;
  /** The throttle that it has waited for. */
  readonly waitedFor: string | null;
  /** All of them: To and Cc for the headers, the open ones for the envelope. */
  readonly recipients: readonly ClaimedRecipient[];
  /** Stands before the subject (RELAY_ENVIRONMENT). */
  readonly subjectPrefix?: string;
  /** It goes to these instead, and each recipient stands for that copy (RELAY_REDIRECT_TO). */
  readonly copy?: { readonly to: readonly string[]; readonly originals: readonly ClaimedRecipient[] };
}

export interface ClaimedRecipient {
  readonly position: number;
  readonly kind: "to" | "cc" | "bcc";
  readonly email: string;
  readonly name: string | null;
  /** True while it waits for an attempt; false once final, and while held. */
  readonly open: boolean;
  /** True while it waits for a person. */
  readonly held: boolean;
  /** Why it is on the suppression list now; null: it is not. */
  readonly suppressed: string | null;
  /** Why it is not to be sent to by this relay: it ends as suppressed too. */
  readonly barred?: string;
}
