import { join } from "node:path";
import type { Note } from "./ledger.ts";
import { pause } from "./pause.ts";

/** What an app's process is given. */
export interface AppOptions {
  readonly seed: number;
  /** The number of the first of its two producers. */
  readonly first: number;
  readonly url: string;
  /** The mean time between two transactions of a producer. */
  readonly everyMs: number;
  readonly note: (note: Note) => void;
  readonly cutCommit: (when: "before" | "after") => void;
}

/** After it was told to end, an app may have to wait for one statement. */
const STOP_MS = 20_000;

/** Two producers in a process, started again when it dies. */
export class AppProcess {
  readonly #options: AppOptions;
  #lives = 0;
  #child: ReturnType<AppProcess["start"]>;
  #closing = false;
  readonly #ended: Promise<void>;

  constructor(options: AppOptions) {
    this.#options = options;
    this.#child = this.start();
    this.#ended = this.#watch();
  }

  /** kill -9, in the middle of whatever it does. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Lets it end what it is doing. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#child.stdin.end();
    await Promise.race([this.#ended, pause(STOP_MS)]);
    this.kill();
    await this.#ended;
  }

  private start() {
    const { seed, first, everyMs, url } = this.#options;
    const args = [seed, first, this.#lives++, everyMs].map(String);
    return Bun.spawn([process.execPath, join(import.meta.dir, "app_main.ts"), ...args, url], {
      env: { PATH: process.env.PATH ?? "" },
      stdin: "pipe",
      stdout: "pipe",
      // A driver that fails with an exception of its own says so here, in its own words.
      stderr: "ignore",
    });
  }

  async #watch(): Promise<void> {
    for (;;) {
      await this.#read(this.#child.stdout);
      await this.#child.exited;
      if (this.#closing) return;
      this.#child = this.start();
    }
  }

  async #read(stdout: ReadableStream<Uint8Array>): Promise<void> {
    const { note, cutCommit } = this.#options;
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of stdout) {
      const lines = (text + decoder.decode(chunk, { stream: true })).split("\n");
      // A line that was cut by its writer's death: what it said did not happen yet.
      text = lines.pop() ?? "";
      for (const line of lines) {
        const told = JSON.parse(line);
        if (told.cut !== undefined) cutCommit(told.cut);
        else note(told.note);
      }
    }
  }
}
