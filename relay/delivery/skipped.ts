import type { RouteLine } from "../routes/route_line.ts";

/**
 * What `run --once` gave back untried, for its last words and for knowing whether it is worth waiting. Nothing is kept
 * otherwise.
 */
export class Skipped {
  /** When they are looked at again, by our clock. */
  #againMs: Map<string, number> | undefined;

  /** Keeps in mind what is noted from now on. */
  begin(): void {
    this.#againMs = new Map();
  }

  /** There is an end to the run, and nothing new that a slow route could hold up. */
  get isKept(): boolean {
    return this.#againMs !== undefined;
  }

  /** Messages that were not tried, or not for all, and have not been settled for all since. */
  get seqs(): readonly string[] {
    return [...this.#againMs?.keys() ?? []];
  }

  /**
   * A message has been concluded: `againMs` says when those who were not tried are looked at again, if there are any.
   */
  note(seq: string, againMs: number | undefined): void {
    if (againMs === undefined) this.#againMs?.delete(seq);
    else this.#againMs?.set(seq, againMs);
  }

  /**
   * Until when it is worth waiting for what was given back: until each route that is out has been probed, once, which
   * puts it into `probed`, and until mail for one whose probe has succeeded is due again. Undefined: no longer.
   */
  worthWaitingUntilMs(lines: readonly RouteLine[], probed: Set<string>): number | undefined {
    // Nobody waits for the end of a pause.
    const times = [...this.#againMs?.values() ?? []].filter((againMs) => againMs < Infinity);
    // Mail for one of several routes is claimed and given back: without any, there is nothing to probe with.
    if (lines.length > 1 && times.length === 0) return undefined;
    const ends: number[] = [];
    for (const line of lines) {
      const { name } = line.route;
      if (line.state === "closed") {
        line.isGivenUp = false;
        if (probed.delete(name)) ends.push(...times);
      } else if (!probed.has(name)) {
        probed.add(name);
        ends.push(line.probedAgainMs());
      } else {
        line.isGivenUp = true;
      }
    }
    return ends.length === 0 ? undefined : ends.reduce((last, end) => Math.max(last, end));
  }
}
