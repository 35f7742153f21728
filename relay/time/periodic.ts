import type { Clock } from "./clock.ts";

/**
 * Runs a task again and again, `everyMs` after its last end; a failing one is told and goes on.
 * @returns what stops it
 */
export function periodic(
  task: () => Promise<unknown>,
  options: { readonly everyMs: number; readonly clock: Clock; readonly onError: (error: unknown) => void },
): () => void {
  let cancel: () => void = () => {};
  let stopped = false;
  const next = () => {
    cancel = options.clock.after(options.everyMs, () => {
      task().catch(options.onError).finally(() => {
        if (!stopped) next();
      });
    });
  };
  next();
  return () => {
    stopped = true;
    cancel();
  };
}
