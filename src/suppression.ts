import { type Fault, oneOf } from "./field.ts";

/** Why an address gets no mail: somebody said so, it does not exist, its owner called a mail spam, or wants none. */
export type SuppressionReason = "manual" | "bounce" | "complaint" | "unsubscribe";

/** An address that gets no mail. */
export interface Suppression {
  /** In lower case. */
  readonly address: string;
  /** Why: a {@link SuppressionReason}, or what an operator has said. */
  readonly reason: string;
  /** `app`: of this app; `all`: of whoever has this database. */
  readonly scope: "app" | "all";
  /** Since when. */
  readonly createdAt: Date;
  /** Undefined: for good. */
  readonly until?: Date;
}

/** Reads a reason. */
export const suppressionReason: (value: unknown, fault: Fault) => SuppressionReason | undefined = oneOf(
  "manual",
  "bounce",
  "complaint",
  "unsubscribe",
);

/**
 * Tells whether a mail that must go may pass it (`overrideSuppression`): never what a server or a reader has said of
 * us, nor what nobody knows. As `is_overridable` of 009_suppressions.sql.
 */
export function isOverridable(reason: string): boolean {
  return reason === "manual" || reason === "unsubscribe";
}
