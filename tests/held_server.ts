import { type ScriptedServer, startScriptedServer } from "./scripted_server.ts";

/** A server that takes mails, and answers their final dots when the test says so. */
export interface HeldServer extends ScriptedServer {
  /** The first final dot has come. */
  readonly reached: Promise<void>;
  /** Answers it, and all that come later. */
  release(): void;
}

/** Starts it. */
export async function startHeldServer(): Promise<HeldServer> {
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const server = await startScriptedServer({
    on: {
      content: async () => {
        reached.resolve();
        await released.promise;
        return undefined;
      },
    },
  });
  // Not spread: its counts are looked up when they are asked for.
  return Object.assign(server, { reached: reached.promise, release: () => released.resolve() });
}
