import type { Connection } from "../../../mod.ts";
import type { NeonTarget } from "../../neon_target.ts";

// A kind imports its driver and nothing else that is not plain code, so that each runtime can take the kinds that work
// in it.

/** An app's statement beside the mail's: text and values. */
export type OwnStatement = readonly [text: string, values: string[]];

/** One way to reach the database: how the app connects, and how it runs a transaction. */
export interface Kind {
  readonly name: string;
  /** Whether a transaction can be held open while the app waits; over HTTP it cannot. */
  readonly interactive: boolean;
  open(url: string, neon: NeonTarget): Promise<OpenKind>;
}

/** Runs the app's own statement in a transaction. */
export type Execute = (...statement: OwnStatement) => Promise<unknown>;

/** An open connection of one kind. */
export interface OpenKind extends AsyncDisposable {
  readonly connection: Connection;
  /** Commits when the work resolves, rolls back when it rejects, and rejects with the same error. */
  transaction<T>(work: (tx: Connection, execute: Execute) => Promise<T>): Promise<T>;
  /** Neon's `transaction([...])`. */
  batch?(statements: readonly OwnStatement[]): Promise<unknown>;
}
