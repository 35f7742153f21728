import { Contents } from "../relay/delivery/contents.ts";
import { prepare, toEnvelope } from "../relay/delivery/delivery.ts";
import type { MailContent, Witness } from "../relay/delivery/transport.ts";
import { pauseOf, throttleOfPauses } from "../relay/limits/pause.ts";
import { mustBeAlone, preclude } from "../relay/queue/crash.ts";
import type { ClaimedMessage, ClaimedRecipient, Queue, Settlement } from "../relay/queue/queue.ts";
import {
  conclude,
  type ConcludedLeg,
  type ConclusionContext,
  type LegResult,
  suppressedLegs,
} from "../relay/queue/settlement.ts";
import { Breaker } from "../relay/routes/breaker.ts";
import { chunksOf, sizeOf } from "../relay/smtp/content.ts";
import type { DrainQueueOptions, DrainReport } from "./drain_queue.ts";
import { type Held, HeldMessages, unwritten } from "./held_messages.ts";
import { leftToRelay, limitOfRelay } from "./left_to_relay.ts";

// DESIGN: what a Worker holds, from claim to settled or given back. One mail at a time, settled before the next begins.
// Its journal is the database: before the first dialogue of a message it says there that it may be sent (intent), so
// that whoever takes over from an isolate that was lost records `uncertain` and lets the policy decide; and after each
// part of many recipients it settles that part. Leases are renewed while it works; none is begun on whose end is near.

/** Until when mails may begin, and what is not to be begun. */
export interface DeliverOptions {
  readonly endMs: number;
  readonly pauses: ReadonlySet<string>;
}

type Tally = { -readonly [Name in keyof Omit<DrainReport, "end" | "reason">]: number };

/** As it stands in attempts. */
const ROUTE = "worker";
/**
 * About 1 MB, since a mail is held whole anyway: the database may be far away, and over HTTP each statement is a
 * request, of which a run has a number.
 */
const SLICE_UNITS = 36;
/**
 * After so many recipients of a mail is written what is final: no more get it twice when the Worker is lost. Each time
 * is one statement more.
 */
const RECIPIENTS_PER_PART = 25;
const SETTLE_AGAIN_MS = 1_000;
const FAULT_AGAIN_MS = 1_000;

/** Claims, delivers and settles, until told to stop. */
export class DrainRun {
  readonly tally: Tally = { claimed: 0, sent: 0, deferred: 0, bounced: 0, uncertain: 0, leftToRelay: 0 };
  readonly #options: DrainQueueOptions & { readonly queue: Queue };
  readonly #contents: Contents;
  readonly #breaker: Breaker;
  readonly #held: HeldMessages;
  /** Nothing that was begun is called back. */
  readonly #never: AbortSignal = new AbortController().signal;
  /** By how much the database's clock is ahead of ours. */
  #aheadMs = 0;
  #trouble: string | undefined;

  constructor(options: DrainQueueOptions & { readonly queue: Queue }) {
    this.#options = options;
    this.#contents = new Contents(options.statements, { sliceUnits: SLICE_UNITS });
    this.#breaker = new Breaker(options.random);
    this.#held = new HeldMessages(options);
  }

  /** How many messages it holds. */
  get holds(): number {
    return this.#held.size;
  }

  close(): void {
    this.#held.close();
  }

  /** Claims what is due, at most so many. @returns false when nothing is */
  async claim(most: number): Promise<boolean> {
    const { queue, clock } = this.#options;
    const claimedMs = clock.now();
    const { messages, nowMs, hasMore } = await queue.claim(most);
    // Though no mail has come, there may be windows of digests that have ended, or a lane that was not asked.
    if (messages.length === 0) return hasMore;
    this.#aheadMs = nowMs - claimedMs;
    this.#held.add(messages, claimedMs);
    this.tally.claimed += messages.length;
    // Those that cannot be fetched now are fetched one by one.
    await this.#contents.prefetch(messages.map(({ contentId }) => contentId)).catch(() => undefined);
    return true;
  }

  /**
   * Takes what is held through its dialogues.
   * @returns why the server is out, if it is; what was not begun is still held then
   */
  async deliver(options: DeliverOptions): Promise<string | undefined> {
    for (const held of this.#held.all()) {
      if (this.#isOut || this.#options.clock.now() >= options.endMs) break;
      await this.#deliver(held, options);
    }
    await this.giveBack();
    return this.#isOut ? this.#trouble : undefined;
  }

  /** Gives back what was not begun. What cannot be given back is left to the end of its lease. */
  async giveBack(): Promise<void> {
    await this.#held.giveBack();
  }

  get #isOut(): boolean {
    return this.#breaker.allowance(this.#options.clock.now()).limit === 0;
  }

  #context(): ConclusionContext {
    const { rules, random, clock } = this.#options;
    return { rules, random, nowMs: clock.now(), aheadMs: this.#aheadMs };
  }

  async #deliver(held: Held, options: DeliverOptions): Promise<void> {
    const { message } = held;
    if (!this.#held.isOurs(held)) return;
    const settlement = preclude(message, this.#context());
    if (settlement !== undefined) return await this.#settle(held, settlement);
    const legs = await this.#legsOf(held, options);
    const conclusion = conclude(message, legs, this.#context());
    if (conclusion.kind === "settle") return await this.#settle(held, conclusion.settlement);
    const { seq, attempt } = message;
    const { againMs, throttle } = conclusion;
    const delayMs = Math.max(0, againMs - this.#options.clock.now());
    await this.#options.queue.release([{ seq, attempt, lease: held.lease, delayMs, throttle }]);
    this.#held.remove(held);
  }

  /** Parts the open recipients by what is to be done, and does it. */
  async #legsOf(held: Held, options: DeliverOptions): Promise<readonly ConcludedLeg[]> {
    const { log, returnPath } = this.#options;
    const { message } = held;
    const legs: ConcludedLeg[] = [...suppressedLegs(message)];
    const open = message.recipients.filter((recipient) => recipient.open && recipient.suppressed === null);
    const limit = limitOfRelay(message.waitedFor);
    if (limit !== undefined) return open.length === 0 ? legs : [...legs, waiting(open, limit)];
    const keyed = open.map((to) => ({
      to,
      key: pauseOf({ app: message.app, stream: message.stream, batch: message.batch, to: to.email }, options.pauses),
    }));
    const keys = keyed.flatMap(({ key }) => key ?? []);
    const paused = keyed.flatMap(({ to, key }) => key === undefined ? [] : [to]);
    if (paused.length > 0) legs.push(waiting(paused, throttleOfPauses(keys)));
    const mailed = keyed.flatMap(({ to, key }) => key === undefined ? [to] : []);
    if (mailed.length === 0) return legs;

    const prepared = await prepare(message, this.#contents).catch((error) => this.#fault(message, error));
    if (prepared.kind === "skipped") return [...legs, { recipients: mailed, result: prepared }];
    if (prepared.kind === "failed") return [...legs, { recipients: mailed, result: prepared }];
    const { reversePath } = toEnvelope(message, mailed, returnPath);
    const { from, stream } = message;
    const mail = { content: prepared.wire, returnPath: reversePath, from: from.email, stream: stream ?? undefined };
    const carried: ClaimedRecipient[] = [];
    const reasons = new Set<string>();
    for (const recipient of mailed) {
      const reason = leftToRelay({ ...mail, to: recipient.email }, this.#options);
      if (reason === undefined) carried.push(recipient);
      else {
        reasons.add(reason);
        legs.push(waiting([recipient], reason));
      }
    }
    if (reasons.size > 0) {
      this.tally.leftToRelay++;
      log.warn("left to a relay", { id: message.id, reason: [...reasons].join(", ") });
    }
    if (carried.length > 0) {
      legs.push(...await this.#send(held, { recipients: carried, wire: prepared.wire, ...options }));
    }
    return legs;
  }

  /** One dialogue for each recipient. */
  async #send(
    held: Held,
    { recipients, wire, endMs }: DeliverOptions & {
      readonly recipients: readonly ClaimedRecipient[];
      readonly wire: MailContent;
    },
  ): Promise<readonly ConcludedLeg[]> {
    const { queue, clock } = this.#options;
    const { message, message: { seq, crashes }, lease } = held;
    const later: LegResult = { kind: "skipped", againMs: clock.now() };
    let content: Uint8Array;
    try {
      content = await wholeOf(wire);
      if (mustBeAlone({ crashes }) && !await queue.setAlone({ seq, lease }, true)) {
        return [{ recipients, result: later }];
      }
      held.isBegun = await queue.intend({ seq, lease });
    } catch (error) {
      return [{ recipients, result: this.#fault(message, error) }];
    }
    const legs: ConcludedLeg[] = [];
    for (const recipient of recipients) {
      const mayBegin = held.isBegun && clock.now() < endMs && !this.#isOut && this.#held.isOurs(held);
      const result = mayBegin ? await this.#sendTo(recipient, held, content) : later;
      legs.push({ recipients: [recipient], result });
      if (mayBegin && legs.length % RECIPIENTS_PER_PART === 0) await this.#settlePart(held, legs);
    }
    return legs;
  }

  /** Writes what is final by now. */
  async #settlePart(held: Held, legs: readonly ConcludedLeg[]): Promise<void> {
    const conclusion = conclude(held.message, legs, this.#context());
    if (conclusion.kind === "settle") this.#count(await this.#held.settlePart(held, conclusion.settlement));
  }

  #count(settlement: Pick<Settlement, "outcomes"> | undefined): void {
    for (const { kind } of settlement?.outcomes ?? []) this.tally[kind]++;
  }

  async #sendTo(recipient: ClaimedRecipient, held: Held, content: Uint8Array): Promise<LegResult> {
    const { clock, log, returnPath, transport } = this.#options;
    const { message } = held;
    const breaker = this.#breaker;
    const witness: Witness = {
      mayBegin: () => this.#held.isOurs(held),
      committing: () => {
        if (!this.#held.isOurs(held)) {
          throw new Error("Its lease was not renewed while it was being sent: another relay may take it over");
        }
      },
      concluded: () => undefined,
    };
    breaker.started(message.id, clock.now());
    try {
      const envelope = toEnvelope(message, [recipient], returnPath);
      const delivery = await transport.send(envelope, content, this.#never, witness);
      if (delivery.kind === "attempted") {
        breaker.succeeded(clock.now());
        return { kind: "attempted", route: ROUTE, outcomes: delivery.outcomes };
      }
      const { trouble } = delivery;
      const { retryAtMs } = breaker.failed(message.id, trouble, clock.now());
      if (trouble.code !== "aborted") {
        this.#trouble = trouble.reason;
        log.warn("the server took no mail", { code: trouble.code, reason: trouble.reason, fix: trouble.fix });
      }
      return { kind: "skipped", againMs: retryAtMs };
    } catch (error) {
      breaker.released(message.id);
      return this.#fault(message, error);
    }
  }

  /** A fault of our own, or of the database, before the server could have the mail: a later look tries again. */
  #fault({ id }: ClaimedMessage, error: unknown): Extract<LegResult, { readonly kind: "skipped" }> {
    const { clock, log } = this.#options;
    log.error("delivery failed", { id, error });
    return { kind: "skipped", againMs: clock.now() + FAULT_AGAIN_MS };
  }

  /**
   * Writes what became of a message, again and again for as long as its lease lasts now. That is renewed meanwhile, and
   * what the database does not take would keep all others waiting.
   */
  async #settle(held: Held, whole: Settlement): Promise<void> {
    const { queue, clock, log } = this.#options;
    const { leaseEndsMs } = held;
    const settlement = unwritten(held, whole);
    for (;;) {
      try {
        const ours = await queue.settle([settlement]);
        if (!ours.has(settlement.seq)) {
          log.warn("settled too late: another relay has taken it over", { id: held.message.id });
        }
        break;
      } catch (error) {
        if (clock.now() + SETTLE_AGAIN_MS >= leaseEndsMs) throw error;
        log.warn("cannot settle yet", { id: held.message.id, error });
        await new Promise<void>((resolve) => clock.after(SETTLE_AGAIN_MS, resolve));
      }
    }
    this.#count(settlement);
    this.#held.remove(held);
  }
}

function waiting(recipients: readonly ClaimedRecipient[], throttle: string): ConcludedLeg {
  return { recipients, result: { kind: "skipped", againMs: Infinity, throttle } };
}

/** Reads a content to its end: it is small enough. */
async function wholeOf(content: MailContent): Promise<Uint8Array> {
  if (content instanceof Uint8Array) return content;
  const whole = new Uint8Array(sizeOf(content));
  let at = 0;
  for await (const chunk of chunksOf(content)) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
