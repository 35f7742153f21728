import type { Answer, ScriptedServer } from "../scripted_server.ts";
import type { Lab } from "./fault.ts";

/** One run of a fault: its clock, and its server once that has started. */
export class RunLab implements Lab {
  readonly #start: (callback: () => void, delayMs: number) => unknown;
  readonly #begun = Promise.withResolvers<void>();
  #server: ScriptedServer | undefined;

  /** @param start calls back after a delay */
  constructor(start: (callback: () => void, delayMs: number) => unknown) {
    this.#start = start;
  }

  get server(): ScriptedServer {
    if (this.#server === undefined) throw new Error("Cannot use the server: it has not started");
    return this.#server;
  }

  set server(server: ScriptedServer) {
    this.#server = server;
  }

  /** Resolves when the other side waits for the first time. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  begin(): void {
    this.#begun.resolve();
  }

  wait(delayMs: number): Promise<void> {
    this.begin();
    return new Promise((resolve) => void this.#start(resolve, delayMs));
  }

  hang(): Answer {
    this.begin();
    return { hang: true };
  }
}
