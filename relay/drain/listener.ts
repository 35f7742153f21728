import type { ListeningSession, SessionHooks } from "../database/database.ts";
import type { Log } from "../log.ts";
import type { Clock } from "../time/clock.ts";
import { delay, unlessAborted } from "../time/delay.ts";

// DESIGN: LISTEN lives in one session of the server, and dies with it, in silence when a firewall forgets the
// connection. So the bell has a connection of its own, which is asked again and again whether it still listens, and is
// made anew as soon as it is lost:
//
//   connect ──▶ LISTEN ──▶ ring: look for what was missed ──▶ echo: notify ourselves over another connection ──heard──▶ listening
//      ▲                                                        │                                                    │
//      └── wait: at once, 250 ms … 30 s ◀── closed, no answer, no longer listening ◀── heartbeat, every 15 s ◀───────┘
//      └── wait: 10 minutes ◀── deaf: a transaction pooler ◀────┘
//
// While the database may sleep (`rest`), it is neither asked nor, when it has closed the connection, connected to
// again.

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
  #isStopped = false;
  /** Ends what is waited for now: the session is closed, or all is to stop. */
  #stretch = new AbortController();
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
      const { signal } = this.#begin();
      await delay(this.#options.clock, end === "deaf" ? DEAF_DELAY_MS : this.#delayMs(), signal);
      if (this.#awake !== undefined) await unlessAborted(this.#awake.promise, signal);
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
    this.#stretch.abort();
  }

  #begin(): AbortController {
    this.#stretch = new AbortController();
    if (this.#isStopped) this.#stretch.abort();
    return this.#stretch;
  }

  async #session(): Promise<End> {
    const { clock, connect, bells, log } = this.#options;
    const channels = Object.keys(bells);
    const echo = `mailchute_echo_${crypto.randomUUID().replaceAll("-", "")}`;
    const heard = Promise.withResolvers<void>();
    const stretch = this.#begin();
    const { signal } = stretch;
    const session = connect({
      onNotify: (name) => name === echo ? heard.resolve() : bells[name]?.(),
      onClose: () => stretch.abort(),
    });
    try {
      if (!await this.#answers(session.listen([...channels, echo]))) return "failed";
      // What was rung while nobody listened is lost, so look.
      for (const ring of Object.values(bells)) ring();
      if (!await this.#hears(echo, heard.promise)) return await this.#deaf(session);
      this.#listening = true;
      if (this.#saidDeaf) log.info("notifications arrive again");
      this.#saidDeaf = false;
      for (;;) {
        await delay(clock, HEARTBEAT_MS, signal);
        if (this.#awake !== undefined) {
          await unlessAborted(this.#awake.promise, signal);
          if (signal.aborted) return "lost";
        }
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

  async #hears(echo: string, heard: Promise<void>): Promise<boolean> {
    await this.#options.notify(echo);
    const isHeard = await this.#within(ECHO_MS, heard.then(() => true));
    // That says nothing of a pooler.
    if (isHeard === undefined && this.#stretch.signal.aborted) throw new Error("The connection was closed");
    return isHeard ?? false;
  }

  /** The answer; undefined when none comes in time. */
  #answers<T>(work: Promise<T>): Promise<T | undefined> {
    return this.#within(ANSWER_MS, work);
  }

  async #within<T>(limitMs: number, work: Promise<T>): Promise<T | undefined> {
    const late = Promise.withResolvers<undefined>();
    const cancel = this.#options.clock.after(limitMs, () => late.resolve(undefined));
    return await unlessAborted(Promise.race([work, late.promise]), this.#stretch.signal).finally(cancel);
  }

  #delayMs(): number {
    return this.#failures === 0 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (this.#failures - 1), LONGEST_DELAY_MS);
  }
}
