import type { Connection, Method } from "../connection.ts";

// DESIGN: postgres.js waits for an answer for ever. A connection that a firewall has forgotten, or that the driver
// (3.4.9) itself will never write to again, gives none, and stays in the pool: with each of them there is one less for
// the mails that come, until there is none. So the pool is replaced when an answer does not come in time; whoever waits
// for one from the old pool gets a while to have it.

/** What postgres.js opens, as far as it is used. */
export interface Pool {
  unsafe(text: string, values: string[], options: { readonly prepare: boolean }): PromiseLike<unknown>;
  readonly begin: Method;
  end(options: { readonly timeout: number }): Promise<void>;
}

/** A pool that is replaced when it falls silent, by the shape that `createMailer` knows. */
export type LastingPool = Connection & { close(): Promise<void> };

/** When to give up on what. */
export interface LastingPoolOptions {
  /** After this time without an answer, in milliseconds, the pool is replaced. */
  readonly patienceMs: number;
  /** How long an old pool, or one that is closed, waits for the answers that are still to come. */
  readonly leaveSeconds: number;
}

/** Opens a pool, and another one in its place whenever it falls silent. */
export function lastingPool(open: () => Pool, { patienceMs, leaveSeconds }: LastingPoolOptions): LastingPool {
  let current = open();
  const leaving = new Set<Promise<void>>();

  function leave(pool: Pool): Promise<void> {
    const left = pool.end({ timeout: leaveSeconds }).finally(() => leaving.delete(left));
    leaving.add(left);
    return left;
  }

  function replace(silent: Pool): void {
    // Another statement of the same pool was first.
    if (silent !== current) return;
    current = open();
    leave(silent).catch(() => {});
  }

  return Object.assign(() => {}, {
    unsafe(...call: Parameters<Pool["unsafe"]>) {
      const pool = current;
      const query = pool.unsafe(...call);
      const timer = setTimeout(() => replace(pool), patienceMs);
      const answered = () => clearTimeout(timer);
      query.then(answered, answered);
      return query;
    },
    // By this the client knows that it is no transaction.
    begin: (...call: Parameters<Method>) => current.begin(...call),
    async close() {
      await Promise.all([leave(current), ...leaving]);
    },
  });
}
