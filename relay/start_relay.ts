/**
 * The relay inside a program of one's own, on Bun: what `mailchute run` does, without its process.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { SettingsError } from "./settings/settings_error.ts";
import { systemClock } from "./time/clock.ts";

export { SettingsError };

/** What a relay is given of the program that it runs in. It reads and prints nothing else. */
export interface StartRelayOptions {
  /**
   * The settings, by the names of docs/settings.md: `process.env`, or an object of one's own. None at all is the
   * playground.
   */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The number of this process, `process.pid`: `mailchute status` shows it. */
  readonly pid: number;
  /** Takes each line of the log, such as `console.log`. */
  readonly print: (line: string) => void;
  /** Stops the relay when it is aborted, as `stop()` does. @default only `stop()` does */
  readonly signal?: AbortSignal | undefined;
}

/** A relay that serves. */
export interface RunningRelay {
  /** Where its pages are, such as `http://127.0.0.1:8025`. */
  readonly url: string;
  /** Resolves when the relay has stopped, by `stop()` or by the signal; rejects when stopping has failed. */
  readonly stopped: Promise<void>;
  /**
   * Takes nothing new, finishes the mails under way (`RELAY_GRACE`, 25 seconds) and closes everything. May be called
   * again.
   */
  stop(): Promise<void>;
}

/**
 * Starts a relay in this program. It has its own connections, a port for its pages (`PORT`) and a state directory
 * (`RELAY_STATE_DIR`), and leaves signals, exit code and console to the program: stop it before the program ends, or
 * mails under way become `uncertain`.
 *
 * @example Until Ctrl-C
 * ```ts ignore
 * import { startRelay } from "mailchute/relay";
 *
 * const asked = new AbortController();
 * process.once("SIGTERM", () => asked.abort()).once("SIGINT", () => asked.abort());
 * const { env, pid } = process;
 * const relay = await startRelay({ env, pid, print: console.log, signal: asked.signal });
 * await relay.stopped;
 * ```
 * @throws {SettingsError} when settings are wrong: for each a line that names the variable and the fix
 * @throws {Error} when something is not as the settings say, such as a database that does not answer; and the signal's
 * reason when it was aborted
 */
export async function startRelay(options: StartRelayOptions): Promise<RunningRelay> {
  const { env, pid, print, signal } = options;
  if (typeof Bun === "undefined") {
    throw new Error("Cannot start a relay: it runs on Bun 1.4 or newer, and this program does not; start it with bun");
  }
  if (typeof env !== "object" || env === null) {
    throw new TypeError(
      "Cannot start a relay: env is not an object; pass the settings by their names, such as { DATABASE_URL, SMTP_URL }",
    );
  }
  if (!Number.isInteger(pid)) {
    throw new TypeError("Cannot start a relay: pid is not a number; pass the number of this process");
  }
  if (typeof print !== "function") {
    throw new TypeError("Cannot start a relay: print is not a function; pass one that takes a line of the log");
  }
  signal?.throwIfAborted();
  // Here and not above, so that whoever imports this without Bun gets the sentence.
  const { launch } = await import("./launch.ts");
  const readFile = (path: string) => readFileSync(path, "utf8");
  const machine = { hostname: hostname(), pid, clock: systemClock, random: Math.random };
  const { service, log } = await launch({ ...machine, env, readFile, print, terminal: false }, { once: false });

  const ended = Promise.withResolvers<void>();
  // By the signal it may be that nobody asks how it went.
  ended.promise.catch((error: unknown) => log.error("cannot stop", { error }));
  let stopping: Promise<void> | undefined;
  async function drain(): Promise<void> {
    log.info("draining");
    await service.stop();
    log.info("stopped");
  }
  function stop(): Promise<void> {
    if (stopping === undefined) {
      signal?.removeEventListener("abort", stop);
      stopping = drain();
      stopping.then(ended.resolve, ended.reject);
    }
    return stopping;
  }
  if (signal?.aborted) {
    await stop();
    signal.throwIfAborted();
  }
  signal?.addEventListener("abort", stop);
  log.info("serving", { status: service.url });
  return { url: service.url as string, stopped: ended.promise, stop };
}
