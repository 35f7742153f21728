import type { Transport } from "../delivery/transport.ts";
import type { Breaker } from "./breaker.ts";

/** A configured SMTP server: the way out, and what is known of its health. Shared by all databases of a relay. */
export interface Route {
  /** As it stands in attempts and on the status page. */
  readonly name: string;
  /** The setting that describes it, such as `SMTP_URL`: what a person has to change. */
  readonly variable: string;
  readonly transport: Transport;
  readonly breaker: Breaker;
  /** The most dialogues at a time. */
  readonly connections: number;
}
