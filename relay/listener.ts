import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import type { ListeningSession, SessionHooks } from "./database.ts";

// DESIGN: LISTEN lives in one session of the server, and dies with it, in silence when a firewall forgets the connection. So the bell has a
// connection of its own, which is asked again and again whether it still listens, and is made anew as soon as it is lost:
//
//   connect ──▶ LISTEN ──▶ ring: look for what was missed ──▶ echo: notify ourselves over another connection ──heard──▶ listening
//      ▲                                                        │                                                    │
//      └── wait: at once, 250 ms … 30 s ◀── closed, no answer, no longer listening ◀── heartbeat, every 15 s ◀───────┘
//      └── wait: 10 minutes ◀── deaf: a transaction pooler ◀────┘
//
// While the database may sleep (`rest`), it is neither asked nor, when it has closed the connection, connected to again.

/** What a listener needs. */
export interface ListenerOptions {
  readonly connect: (hooks: SessionHooks) => ListeningSession;
  /** Sends a notification over another connection. */
  readonly notify: (channel: string) => Promise<unknown>;
  /** What is to be done at a notification of each channel, or when one may have been missed. */
  readonly bells: Readonly<Record<string, () => void>>;
  readonly clock: Clock;
  readonly log: Pick<Log, "info" | "warn" | "debug">;
}

const HEARTBEAT_MS = 15_000;
/** With the connection that it may take. */
const ANSWER_MS = 15_000;
const ECHO_MS = 5_000;
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 30_000;
const DEAF_DELAY_MS = 10 * 60_000;

/** Why a session has ended. */
type End = "lost" | "deaf" | "failed";

/** Hears the bell of one database for as long as it can be heard. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #stopped = Promise.withResolvers<void>();
  #isStopped = false;
  #listening = false;
  #failures = 0;
  #saidDeaf = false;
  #awake: PromiseWithResolvers<void> | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Notifications arrive. */
  get listening(): boolean {
    return this.#listening;
  }

  /** Listens until `stop`. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      const end = await this.#session();
      if (this.#isStopped) break;
      await this.#wait(end === "deaf" ? DEAF_DELAY_MS : this.#delayMs());
      await this.#untilAwake();
      this.#failures++;
    }
  }

  /** Leaves the database alone until `wake`; what it says is still heard. */
  rest(): void {
    this.#awake ??= Promise.withResolvers<void>();
  }

  /** Ends the rest. */
  wake(): void {
    this.#awake?.resolve();
    this.#awake = undefined;
  }

  /** Ends the session. */
  stop(): void {
    this.#isStopped = true;
    this.#stopped.resolve();
  }

  async #session(): Promise<End> {
    const { connect, bells, log } = this.#options;
    const channels = Object.keys(bells);
    const echo = `mailchute_echo_${crypto.randomUUID().replaceAll("-", "")}`;
    const heard = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    const session = connect({
      onNotify: (name) => name === echo ? heard.resolve() : bells[name]?.(),
      onClose: () => closed.resolve(),
    });
    try {
      if (!await this.#answers(session.listen([...channels, echo]))) return "failed";
      // What was rung while nobody listened is lost, so look.
      for (const ring of Object.values(bells)) ring();
      if (!await this.#hears(echo, { heard: heard.promise, closed: closed.promise })) return await this.#deaf(session);
      this.#listening = true;
      if (this.#saidDeaf) log.info("notifications arrive again");
      this.#saidDeaf = false;
      for (;;) {
        await this.#wait(HEARTBEAT_MS, closed.promise);
        if (this.#awake !== undefined && await this.#untilAwake(closed.promise) === "closed") return "lost";
        if (this.#isStopped) return "lost";
        const listening = await this.#answers(session.channels());
        if (!channels.every((channel) => listening?.includes(channel))) break;
        this.#failures = 0;
      }
      log.info("the connection that listens for new mail was lost: another one is made");
      return "lost";
    } catch (error) {
      log.debug("cannot listen for new mail now", { error });
      return "failed";
    } finally {
      this.#listening = false;
      await session.end();
    }
  }

  async #deaf(session: ListeningSession): Promise<End> {
    if (!this.#saidDeaf) {
      this.#options.log.warn("no notification arrives: a transaction pooler? New mail waits for RELAY_POLL", {
        fix: "set DATABASE_URL_UNPOOLED (or that of this database) to its direct address",
      });
    }
    this.#saidDeaf = true;
    // The pooler's connection, which others use after us, would go on listening.
    await this.#answers(session.unlisten());
    return "deaf";
  }

  async #hears(
    echo: string,
    { heard, closed }: { readonly heard: Promise<void>; readonly closed: Promise<void> },
  ): Promise<boolean> {
    await this.#options.notify(echo);
    const isHeard = Promise.race([heard.then(() => true), closed.then(() => Promise.reject(new Error("Closed")))]);
    return await this.#within(ECHO_MS, isHeard) ?? false;
  }

  /** The answer; undefined when none comes in time. */
  #answers<T>(work: Promise<T>): Promise<T | undefined> {
    return this.#within(ANSWER_MS, work);
  }

  async #within<T>(limitMs: number, work: Promise<T>): Promise<T | undefined> {
    const late = Promise.withResolvers<undefined>();
    const cancel = this.#options.clock.after(limitMs, () => late.resolve(undefined));
    // What still comes after that is nobody's business.
    work.catch(() => undefined);
    return await Promise.race([work, late.promise, this.#stopped.promise.then(() => undefined)]).finally(cancel);
  }

  /** Waits for the end of a rest, or for something sooner. */
  async #untilAwake(closed?: Promise<void>): Promise<"awake" | "closed"> {
    const awake = Promise.race([this.#awake?.promise, this.#stopped.promise]).then(() => "awake" as const);
    return await (closed === undefined ? awake : Promise.race([closed.then(() => "closed" as const), awake]));
  }

  async #wait(delayMs: number, sooner?: Promise<void>): Promise<void> {
    const over = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(delayMs, over.resolve);
    await Promise.race([over.promise, this.#stopped.promise, ...(sooner === undefined ? [] : [sooner])]);
    cancel();
  }

  #delayMs(): number {
    return this.#failures === 0 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (this.#failures - 1), LONGEST_DELAY_MS);
  }
}
