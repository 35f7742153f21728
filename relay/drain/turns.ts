/** For how long somebody whose turn it is keeps the others waiting. */
const GRACE_MS = 250;

/**
 * Whose turn it is when one throttle has a token and several databases have mail that waits for it: one after the
 * other, so that a database with a hundred thousand mails holds up no other with ten.
 */
export class Turns<Who> {
  /** Who waits, in order, and when each was here last. */
  readonly #line = new Map<Who, number>();

  /** Nobody waits. */
  get isEmpty(): boolean {
    return this.#line.size === 0;
  }

  /** How many of the free tokens are his now; he waits from here on. `readySinceMs`: since when there has been one. */
  shareOf(who: Who, options: { readonly free: number; readonly readySinceMs: number; readonly nowMs: number }): number {
    const { free, readySinceMs, nowMs } = options;
    this.#line.set(who, nowMs);
    for (const [other, seenMs] of this.#line) {
      // He was away when his turn came: his database does not answer, or has nothing more.
      if (Math.max(seenMs, readySinceMs) + GRACE_MS < nowMs) this.#line.delete(other);
    }
    const place = [...this.#line.keys()].indexOf(who);
    return Math.floor(free / this.#line.size) + (place < free % this.#line.size ? 1 : 0);
  }

  /** He has had his turn, and waits for the next one or has nothing more that waits. */
  had(who: Who, { hasMore }: { readonly hasMore: boolean }): void {
    const seenMs = this.#line.get(who);
    this.#line.delete(who);
    if (hasMore && seenMs !== undefined) this.#line.set(who, seenMs);
  }
}
