import type { LookupFunction } from "node:net";
import type { SmtpOptions } from "../../relay/smtp/smtp.ts";
import type { Answer, ScriptedServer, ScriptedServerOptions } from "../scripted_server.ts";

/**
 * DESIGN: one thing that goes wrong between us and a mail server, as data: what the server does, what is sent, what
 * must come out.
 *
 * The same data is run twice: `run_fault.ts` runs it against our transport (each is a test, see faults.test.ts),
 * `compare.ts` against nodemailer. What only a whole relay can show is a `RelayFault`, which brings its own test. The
 * numbers C01 to S12 name the faults; several entries may share a number.
 */
export interface TransportFault {
  readonly id: string;
  readonly name: string;
  readonly server?: (lab: Lab) => ScriptedServerOptions;
  /** How the server is found. @default by its address */
  readonly way?: Way;
  readonly client?: Partial<SmtpOptions>;
  /** The recipients of each mail. @default {[["ann@corp.example"]]} */
  readonly mails?: readonly (readonly string[])[];
  /** All mails at a time, and not each one after the last. */
  readonly isTogether?: true;
  /** The size of each mail, about. @default {small} */
  readonly bytes?: number;
  /** The next mail waits for this. */
  readonly between?: (lab: Lab) => Promise<void>;
  /** Once the server waits, each turn of the event loop is a second, for the client as for the server. */
  readonly passes?: true;
  /** For each mail its outcomes as `outcomesIn` writes them; several: one of them. */
  readonly expected: readonly (string | readonly string[])[];
  /** What the client says on each connection, line by line; `(content)` stands for a mail. */
  readonly said?: readonly (readonly string[])[];
  /** The server may have a mail that is not reported as sent: RFC 1047. */
  readonly mayRepeat?: true;
}

/** A fault that takes a relay and a database, or a process: the test is its own. */
export interface RelayFault {
  readonly id: string;
  readonly name: string;
  /** What must come out, in words. */
  readonly then: string;
  /** @returns what was measured, for the page; without, `then` says it all */
  run(): Promise<string | void>;
  /** The same against nodemailer, told in words. @default {not run: it keeps no queue} */
  nodemailer?(): Promise<string>;
}

export type Way =
  /** Nothing listens there any more. */
  | "refused"
  /** No packet is ever answered. */
  | "black hole"
  /** By this name, and what is known of it. */
  | { readonly host: string; readonly lookup: LookupFunction };

/** What a script may use of the run it is in. */
export interface Lab {
  readonly server: ScriptedServer;
  /** Waits, by the clock of the run. */
  wait(delayMs: number): Promise<void>;
  /** Says nothing more. */
  hang(): Answer;
}

/** The first address that every fault sends to. */
export const ANN = "ann@corp.example";
export const BOB = "bob@corp.example";
export const CAT = "cat@corp.example";

const LINE = `${"x".repeat(76)}\r\n`;

/** The content of the mail with this number, from 0; its Message-ID is how it is known in the ledger. */
export function contentOf(fault: TransportFault, number: number): string {
  const head = `Message-ID: ${messageId(number)}\r\nSubject: hello\r\n\r\n`;
  return `${head}${LINE.repeat(Math.ceil((fault.bytes ?? 1) / LINE.length))}`;
}

export function messageId(number: number): string {
  return `<${number}@faults.example>`;
}

/** The address as the ledger has it, which keeps bytes as they came. */
export function onTheWire(address: string): string {
  return Buffer.from(address, "utf8").toString("latin1");
}

/** The dialogue before and around a mail to Ann on a server that offers PIPELINING, for `said`. */
export const EHLO = "EHLO relay.example";
export const MAIL = "MAIL FROM:<app@sender.example>";
export const TO_ANN = `RCPT TO:<${ANN}>`;
