import { prng } from "../mime/prng.ts";

/** The relays of a run. Each has an SMTP port of its own, so that the sink knows who brought a copy. */
export type RelayName = "a" | "b";

/** What goes wrong. `forMs`: how long it lasts. */
export type Fault =
  | { readonly kind: "kill"; readonly relay: RelayName; readonly losesState: boolean }
  | { readonly kind: "freeze"; readonly relay: RelayName; readonly forMs: number }
  | { readonly kind: "terminate"; readonly relay: RelayName }
  | { readonly kind: "kill_app"; readonly app: number }
  | { readonly kind: "cut_backends" }
  | { readonly kind: "restart_database"; readonly mode: "fast" | "immediate" }
  | { readonly kind: "half_open"; readonly forMs: number }
  | { readonly kind: "smtp_out"; readonly how: SmtpOutage; readonly forMs: number };

/** How an SMTP server is away: it does not listen, it resets who connects, it greets with 421. */
export type SmtpOutage = "refuse" | "reset" | "shut_down";

/** A fault and when it begins, counted from the start of the run. */
export type Planned = Fault & { readonly atMs: number };

/** What a schedule is made of. */
export interface ScheduleOptions {
  readonly seed: number;
  readonly lastsMs: number;
  readonly leaseMs: number;
}

/** The mean time between two faults. */
const EVERY_MS = 1_200;

/**
 * Decides by the seed what goes wrong and when. Kinds are drawn from a bag that is filled anew when it is empty: each
 * comes before one comes a second time.
 *
 * @example
 * ```ts
 * const options = { seed: 1, lastsMs: 10_000, leaseMs: 3_000 };
 * if (JSON.stringify(makeSchedule(options)) !== JSON.stringify(makeSchedule(options))) throw new Error("unexpected");
 * ```
 */
export function makeSchedule({ seed, lastsMs, leaseMs }: ScheduleOptions): readonly Planned[] {
  const { int, pick } = prng(seed);
  const relay = () => pick<RelayName>(["a", "b"]);
  const kinds: readonly (() => Fault)[] = [
    () => ({ kind: "kill", relay: relay(), losesState: false }),
    () => ({ kind: "kill", relay: relay(), losesState: int(2) === 0 }),
    // Longer than a lease: another takes over what it held.
    () => ({ kind: "freeze", relay: relay(), forMs: leaseMs + 500 + int(leaseMs) }),
    () => ({ kind: "terminate", relay: relay() }),
    () => ({ kind: "kill_app", app: int(2) }),
    () => ({ kind: "cut_backends" }),
    () => ({ kind: "restart_database", mode: pick<"fast" | "immediate">(["fast", "immediate"]) }),
    // At times longer than a lease.
    () => ({ kind: "half_open", forMs: 300 + int(leaseMs * 1.5) }),
    () => ({ kind: "smtp_out", how: pick<SmtpOutage>(["refuse", "reset", "shut_down"]), forMs: 200 + int(1_500) }),
  ];
  const count = Math.max(kinds.length, Math.floor(lastsMs / EVERY_MS));
  // The last ones need some time in which they can be felt.
  const stepMs = (lastsMs * 0.9) / count;
  const planned: Planned[] = [];
  let bag: (() => Fault)[] = [];
  for (let turn = 0; turn < count; turn++) {
    if (bag.length === 0) bag = [...kinds];
    const [make] = bag.splice(int(bag.length), 1);
    const atMs = Math.round(stepMs * turn + int(stepMs));
    if (make !== undefined) planned.push({ ...make(), atMs });
  }
  return planned;
}

/** One line for people: when, what and how long. */
export function describeFault({ atMs, kind, ...details }: Planned): string {
  const told = Object.entries(details).map(([name, value]) => `${name}=${value}`);
  return [`${(atMs / 1_000).toFixed(1)} s`.padStart(8), kind, ...told].join(" ");
}
