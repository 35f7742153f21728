import { isFinal, type State } from "../../src/state.ts";
import type { BatchProgress } from "../queue/batch_table.ts";
import { formatLength } from "../time/moment.ts";

// How far a bulk send is, in words.

const BAR_CHARS = 40;
/** Fewer tell nothing of a pace. */
const PACE_MESSAGES = 10;

/** Counts its messages, and those of them that have ended. */
export function sumOf({ states }: BatchProgress): { readonly total: number; readonly done: number } {
  let [total, done] = [0, 0];
  for (const [state, messages] of Object.entries(states)) {
    total += messages;
    if (isFinal(state as State)) done += messages;
  }
  return { total, done };
}

/**
 * Tells how long the rest will take at the pace of the last minute; undefined: nothing is left, or nothing has moved.
 */
export function secondsLeftOf(progress: BatchProgress): number | undefined {
  const { total, done } = sumOf(progress);
  if (total === done || progress.lastMinute === 0) return undefined;
  // It may have begun, or been resumed, less than a minute ago.
  const paceMs = progress.lastMinute < PACE_MESSAGES ? 60_000 : progress.lastMinuteMs;
  return Math.ceil(((total - done) / progress.lastMinute) * (paceMs / 1_000));
}

/** Writes how fast it goes. */
export function describePace(progress: BatchProgress): string {
  const { total, done } = sumOf(progress);
  if (total === done) return "all have ended";
  if (progress.lastMinute === 0) return "none has ended within the last minute";
  const left = formatLength((secondsLeftOf(progress) ?? 0) * 1_000) ?? "a moment";
  return `${progress.lastMinute} ended within the last minute, about ${left} left`;
}

/** Writes how much of it has ended. */
export function percentOf(progress: BatchProgress): string {
  const { total, done } = sumOf(progress);
  // 100 % only when all have ended.
  return total === 0 ? "-" : `${Math.floor((done / total) * 100)} %`;
}

/** Writes how many messages are in each state. */
export function describeStates({ states }: BatchProgress): string {
  return describeCounts(states) || "no messages";
}

/** Writes `7 sent, 2 deferred`. */
export function describeCounts(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts).map(([name, messages]) => `${messages} ${name}`).join(", ");
}

/** Draws it, for a terminal. */
export function barOf(progress: BatchProgress): string {
  const { total, done } = sumOf(progress);
  const full = total === 0 ? 0 : Math.floor((done / total) * BAR_CHARS);
  return `[${"#".repeat(full)}${"-".repeat(BAR_CHARS - full)}]`;
}
