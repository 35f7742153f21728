import type { Delivery } from "../delivery/transport.ts";
import type { Capabilities } from "./capability.ts";
import type { Deadlines } from "./deadline.ts";

/** What a transaction finds on its connection. */
export interface TransactionSettings {
  readonly capabilities: Capabilities;
  readonly deadlines: Deadlines;
  /** The transaction before this one ended in an error: the server has to forget it first. */
  readonly needsReset: boolean;
  /**
   * The content before this mail's envelope is not answered yet: a reply too many to that one would be read as this
   * one's.
   */
  readonly isBehind: boolean;
}

/** What one transaction brought; `rest`: the positions of those whom the server wants in the next one. */
export type TransactionResult =
  | Extract<Delivery, { kind: "unavailable" }>
  | Extract<Delivery, { kind: "attempted" }> & { readonly rest: ReadonlySet<number> };
