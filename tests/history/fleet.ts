import { rmSync } from "node:fs";
import { join } from "node:path";
import { type RelayProcess, startRelayProcess } from "../relay_process.ts";
import { becomes, pause } from "./pause.ts";
import type { RelayName } from "./schedule.ts";

/** Something that may explain what a relay did not write: it died, it stood still, or it did not reach its database. */
export interface Trouble {
  readonly kind: "killed" | "frozen" | "database";
  /** undefined: all of them. */
  readonly relay: RelayName | undefined;
  readonly fromMs: number;
  toMs: number;
}

/** What a relay must never do, whatever happens around it. */
export interface Misbehaviour {
  readonly relay: RelayName;
  readonly what: string;
  readonly atMs: number;
}

/** What a relay in a run is given. */
export interface SeatOptions {
  readonly name: RelayName;
  readonly databaseUrl: string;
  readonly smtpPort: number;
  /** Where its state directories are. */
  readonly directory: string;
  readonly leaseMs: number;
  readonly connections?: number;
  readonly note: (trouble: Trouble) => void;
  readonly misbehaved: (what: Misbehaviour) => void;
}

const GRACE_MS = 3_000;
/** After the grace, the last words and the end of the process, on a busy machine. */
const STOP_MS = GRACE_MS + 10_000;
/** How long a supervisor waits before it starts a relay again. */
const RESTART_MS = 200;

/** The place of one relay: a process in a state directory, started again each time that it ends. */
export class Seat {
  readonly #options: SeatOptions;
  #process: RelayProcess;
  #directory: string;
  #directories = 0;
  /** Why the process is about to end: we asked for it. */
  #asked: "kill" | "terminate" | undefined;
  #closing = false;
  #frozen: Trouble | undefined;
  #ended: Promise<void>;

  constructor(options: SeatOptions) {
    this.#options = options;
    this.#directory = this.#newDirectory();
    this.#process = this.#start();
    this.#ended = this.#watch();
  }

  /** Resolves when the relay serves for the first time. */
  async serving(): Promise<void> {
    await this.#process.printed('"serving"');
  }

  /** Resolves when the process of this moment has ended and the next one serves. */
  async servesAgain(): Promise<void> {
    const before = this.#process;
    await before.exited;
    await becomes(
      () => Promise.resolve(this.#process !== before && this.#process.output().includes('"serving"')),
      STOP_MS,
    );
  }

  /** kill -9, and a new start in the same state directory, or in an empty one. */
  kill({ losesState }: { readonly losesState: boolean }): void {
    this.#asked = "kill";
    this.#thaw();
    const now = Date.now();
    this.#options.note({ kind: "killed", relay: this.#options.name, fromMs: now, toMs: now });
    this.#process.kill("SIGKILL");
    if (losesState) this.#directory = this.#newDirectory();
  }

  /** SIGTERM, as a deploy does. */
  terminate(): void {
    // A frozen process answers to no signal but KILL; one that was killed is gone.
    if (this.#asked !== undefined || this.#frozen !== undefined) return;
    this.#asked = "terminate";
    const asked = this.#process;
    asked.kill("SIGTERM");
    const gone = asked.exited.then(() => true);
    void Promise.race([gone, pause(STOP_MS).then(() => false)]).then((ended) => {
      if (ended || this.#process !== asked || this.#frozen !== undefined) return;
      this.#misbehaved(`did not end within ${STOP_MS} ms of SIGTERM`, asked);
      this.kill({ losesState: false });
    });
  }

  /** SIGSTOP for a while. */
  async freeze(forMs: number): Promise<void> {
    if (this.#frozen !== undefined || this.#asked !== undefined) return;
    const now = Date.now();
    const trouble: Trouble = { kind: "frozen", relay: this.#options.name, fromMs: now, toMs: now + forMs };
    this.#frozen = trouble;
    this.#options.note(trouble);
    this.#process.kill("SIGSTOP");
    await pause(forMs);
    if (this.#frozen === trouble) this.#thaw();
  }

  /** Ends it as a deploy does, and does not start it again. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#thaw();
    this.terminate();
    const ended = await becomes(
      () => Promise.race([this.#ended.then(() => true), pause(0).then(() => false)]),
      STOP_MS,
    );
    if (!ended) this.#process.kill("SIGKILL");
    await this.#ended;
  }

  /** The present state directory. */
  get directory(): string {
    return this.#directory;
  }

  /** What `/readyz` says; empty while nobody answers. */
  async readyz(): Promise<string> {
    const url = /"status":"([^"]+)"/.exec(this.#process.output())?.[1];
    if (url === undefined) return "";
    return await fetch(new URL("/readyz", url)).then((response) => response.text(), () => "");
  }

  /** What the present process has printed last. */
  lastWords(lines: number): string {
    return this.#process.output().trimEnd().split("\n").slice(-lines).join("\n");
  }

  #thaw(): void {
    if (this.#frozen === undefined) return;
    this.#frozen.toMs = Date.now();
    this.#frozen = undefined;
    this.#process.kill("SIGCONT");
  }

  #newDirectory(): string {
    const { directory, name } = this.#options;
    const path = join(directory, `state_${name}_${++this.#directories}`);
    rmSync(path, { recursive: true, force: true });
    return path;
  }

  #start(): RelayProcess {
    const { databaseUrl, smtpPort, leaseMs, connections = 4 } = this.#options;
    return startRelayProcess(["run"], {
      DATABASE_URL: databaseUrl,
      SMTP_URL: `smtp://127.0.0.1:${smtpPort}?tls=none`,
      RELAY_STATE_DIR: this.#directory,
      RELAY_LEASE: `${leaseMs}ms`,
      RELAY_GRACE: `${GRACE_MS}ms`,
      RELAY_POLL: "500ms",
      RELAY_CONNECTIONS: String(connections),
      PORT: "0",
    });
  }

  /** Starts it again and again, as a supervisor does. */
  async #watch(): Promise<void> {
    for (;;) {
      const code = await this.#process.exited;
      const now = Date.now();
      const output = this.#process.output();
      const served = output.includes('"serving"');
      if (this.#asked === "terminate" && code !== 0 && served) {
        this.#misbehaved(`ended with ${code} after SIGTERM`, this.#process);
      }
      if (this.#asked === undefined && served) {
        this.#misbehaved(`ended with ${code}, which nobody had asked for`, this.#process);
        this.#options.note({ kind: "killed", relay: this.#options.name, fromMs: now, toMs: now });
      }
      this.#asked = undefined;
      this.#frozen = undefined;
      if (this.#closing) return;
      await pause(RESTART_MS);
      if (this.#closing) return;
      this.#process = this.#start();
    }
  }

  #misbehaved(what: string, { output }: RelayProcess): void {
    const last = output().trimEnd().split("\n").slice(-5).join("\n");
    this.#options.misbehaved({ relay: this.#options.name, what: `${what}; it last said:\n${last}`, atMs: Date.now() });
  }
}
