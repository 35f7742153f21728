import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A relay in a process of its own, started as a user would. Its disposal ends it with SIGKILL, if nothing else has: a
 * test that fails leaves none behind.
 */
export interface RelayProcess extends AsyncDisposable {
  readonly pid: number;
  /** Resolves with the exit code; -1 when a signal ended it. */
  readonly exited: Promise<number>;
  /** What it has printed so far: stdout and stderr. */
  output(): string;
  /** Resolves when it has printed this. */
  printed(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/** A folder of a test's own, gone at its end. */
export function temporaryDirectory(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "mailchute-test-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Runs `bun relay/main.ts` with nothing of this process's environment but the path. */
export function startRelayProcess(args: readonly string[], env: Readonly<Record<string, string>>): RelayProcess {
  let text = "";
  const watchers = new Set<() => void>();
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "../relay/main.ts"), ...args], {
    env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", LOG_FORMAT: "json", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      text += decoder.decode(chunk, { stream: true });
      for (const watcher of [...watchers]) watcher();
    }
  };
  const ended = Promise.all([read(child.stdout), read(child.stderr)]);
  return {
    pid: child.pid,
    exited: child.exited.then(async (code) => {
      await ended;
      return child.signalCode === null ? code : -1;
    }),
    output: () => text,
    printed: (wanted) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!text.includes(wanted)) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        void child.exited.then(() => ended).then(() => {
          if (!text.includes(wanted)) reject(new Error(`The relay ended without printing ${wanted}: ${text}`));
        });
        look();
      }),
    kill: (signal) => child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      // What has ended takes no signal.
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}
