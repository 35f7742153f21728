/** Watches whether the event loop stands still: how long at most it computed without a turn. */
export interface LoopWatch {
  /** Ends it. @returns the longest time that one turn has computed, in milliseconds */
  stop(): number;
}

/**
 * Starts to watch.
 *
 * What counts is time on the processor: a turn that takes long because other processes had the processors is none of
 * ours.
 */
export function watchLoop(): LoopWatch {
  let longestMs = 0;
  let wallMs = performance.now();
  let cpu = process.cpuUsage();
  const look = (): void => {
    const nowMs = performance.now();
    const now = process.cpuUsage();
    const computedMs = (now.user - cpu.user + now.system - cpu.system) / 1_000;
    longestMs = Math.max(longestMs, Math.min(computedMs, nowMs - wallMs));
    wallMs = nowMs;
    cpu = now;
  };
  const interval = setInterval(look, 5);
  return {
    stop: () => {
      look();
      clearInterval(interval);
      return longestMs;
    },
  };
}
