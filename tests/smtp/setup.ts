import type { Delivery, Outcome, RouteTrouble, Transport } from "../../relay/delivery/transport.ts";
import { openSocket } from "../../relay/smtp/connection.ts";
import type { Rim } from "../../relay/smtp/link.ts";
import { createSmtpTransport, type SmtpOptions } from "../../relay/smtp/smtp.ts";
import { RUNTIME_TIMERS, type Timers } from "../../relay/smtp/timers.ts";
import type { Envelope } from "../../src/envelope.ts";
import {
  type ScriptedServer,
  type ScriptedServerOptions,
  startScriptedServer,
  TEST_AUTHORITY,
} from "../scripted_server.ts";

export const CONTENT = new TextEncoder().encode("Subject: hello\r\n\r\nHello\r\n");

/** A signal that never aborts. */
export const NEVER: AbortSignal = new AbortController().signal;

export function envelopeTo(...emails: readonly string[]): Envelope {
  return {
    reversePath: "app@sender.example",
    recipients: emails.map((email, position) => ({ position, email })),
  };
}

export interface Setup extends AsyncDisposable {
  readonly server: ScriptedServer;
  readonly transport: Transport;
  /** The dialogue as the debugging hook sees it. */
  readonly dialogue: string[];
  /** Sends one mail to these addresses. */
  send(...emails: readonly string[]): Promise<Delivery>;
}

/** A scripted server and a transport to it, fresh for one test. */
export async function setup(
  script: ScriptedServerOptions = {},
  options: Partial<SmtpOptions> & { readonly rim?: Partial<Rim> } = {},
): Promise<Setup> {
  const server = await startScriptedServer(script);
  const dialogue: string[] = [];
  const { rim, ...overrides } = options;
  const transport = createSmtpTransport({
    host: "127.0.0.1",
    port: server.port,
    tls: "none",
    ehloName: "relay.example",
    ca: TEST_AUTHORITY.ca,
    connections: 1,
    onDialogue: (line) => dialogue.push(line),
    ...overrides,
  }, { connector: openSocket, timers: RUNTIME_TIMERS, ...rim });
  return {
    server,
    transport,
    dialogue,
    send: (...emails) => transport.send(envelopeTo(...emails), CONTENT, NEVER),
    async [Symbol.asyncDispose]() {
      await server.close();
      await transport.close();
    },
  };
}

/** The outcomes of an attempt, as `kind phase blame code`. */
export function outcomesOf(delivery: Delivery): string[] {
  if (delivery.kind !== "attempted") throw new Error(`Not attempted: ${delivery.trouble.code}`);
  return delivery.outcomes.map(({ kind, phase, blame, reply }: Outcome) =>
    [kind, phase, kind === "sent" ? "" : blame, reply?.code ?? "none"].filter((part) => part !== "").join(" ")
  );
}

/** The trouble of a mail that was not attempted. */
export function troubleIn(delivery: Delivery): RouteTrouble {
  if (delivery.kind !== "unavailable") throw new Error(`Attempted: ${outcomesOf(delivery).join(", ")}`);
  return delivery.trouble;
}

/** Time that passes only when a test says so. */
export class ManualTimers implements Timers {
  #nowMs = 0;
  readonly #pending = new Map<object, { readonly atMs: number; readonly callback: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  start(callback: () => void, delayMs: number): object {
    const handle = {};
    this.#pending.set(handle, { atMs: this.#nowMs + delayMs, callback });
    return handle;
  }

  stop(handle: unknown): void {
    if (typeof handle === "object" && handle !== null) this.#pending.delete(handle);
  }

  /** How many timers run. */
  get count(): number {
    return this.#pending.size;
  }

  /** Lets time pass, timer by timer. */
  advance(delayMs: number): void {
    const untilMs = this.#nowMs + delayMs;
    for (;;) {
      const [next] = [...this.#pending].filter(([, { atMs }]) => atMs <= untilMs).sort((a, b) => a[1].atMs - b[1].atMs);
      if (next === undefined) break;
      const [handle, { atMs, callback }] = next;
      this.#pending.delete(handle);
      this.#nowMs = Math.max(this.#nowMs, atMs);
      callback();
    }
    this.#nowMs = untilMs;
  }
}
