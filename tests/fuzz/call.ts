import type postgres from "postgres";
import type { Mailer } from "../../mod.ts";
import type { Mailbox } from "../../src/address.ts";
import type { Meaning } from "./meaning.ts";

/** Who mails are from that say nothing else. */
export const DEFAULT_FROM: Mailbox = { name: "Shop", email: "shop@example.com" };

/** One call of the client with something random, and all that is needed to judge what became of it. */
export interface Call {
  /** What was handed in, for people. */
  readonly input: unknown;
  /** Whether the docs allow all of it: then it must not be refused. */
  readonly isValid: boolean;
  /** Calls the client. @returns the ids of the mails in the queue, in their order */
  send(mail: Mailer, sql: postgres.Sql): Promise<readonly string[]>;
  /** Tells whether the path of an issue leads to a place in what was handed in. */
  leadsIn(path: string): boolean;
  /** What each of the mails should become. */
  meanings(): Promise<readonly Meaning[]>;
}
