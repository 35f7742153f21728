// DESIGN: machines drift (other tenants, clock speed, a checkpoint), so contenders take turns: ours, peer, ours, peer.
// A ratio is taken within each round, between neighbours in time, and its median is told; figures from different runs
// are never compared.

/** One side of a comparison. */
export interface Contender {
  readonly name: string;
  /** The contenders that this one is compared with. @default none */
  readonly against?: readonly string[];
  /** Takes one sample: a rate, a time or a size, in the unit of the whole comparison. */
  sample(): Promise<number>;
}

/** The middle of the samples and how far they lie apart. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** What was measured of one contender. */
export interface Measured extends Spread {
  readonly name: string;
  /** How many times as good as its peers: above 1 is better, in rates and in times. */
  readonly ratios: readonly (Spread & { readonly against: string })[];
}

/** How to compare. */
export interface MeasureOptions {
  readonly rounds: number;
  /** Rounds before the first that counts: compilers and caches warm up. @default {1} */
  readonly warmUps?: number;
  /** Whether more is better (a rate) or less (a time, a size). */
  readonly better: "more" | "less";
}

/**
 * Lets all contenders take turns, round by round.
 *
 * @example
 * ```ts
 * const contenders = [
 *   { name: "ours", against: ["peer"], sample: () => Promise.resolve(30) },
 *   { name: "peer", sample: () => Promise.resolve(10) },
 * ];
 * const [ours] = await measure(contenders, { rounds: 3, better: "more" });
 * if (ours?.ratios[0]?.median !== 3) throw new Error("unexpected");
 * ```
 * @throws {RangeError} when there is no round, or a peer that is named does not take part
 */
export async function measure(
  contenders: readonly Contender[],
  options: MeasureOptions,
): Promise<readonly Measured[]> {
  const { rounds, warmUps = 1, better } = options;
  if (!(rounds >= 1)) throw new RangeError(`Cannot measure: rounds is ${rounds} and has to be 1 or more`);
  const samples = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let round = -warmUps; round < rounds; round++) {
    for (const { name, sample } of contenders) {
      // The garbage of one contender is not the next one's work.
      Bun.gc(true);
      const value = await sample();
      if (round >= 0) samples.get(name)?.push(value);
    }
  }
  return contenders.map(({ name, against = [] }) => {
    const own = samples.get(name) ?? [];
    const ratios = against.map((other) => {
      const peer = samples.get(other);
      if (peer === undefined) throw new RangeError(`Cannot compare ${name}: there is no contender ${other}`);
      const quotients = own.map((value, round) =>
        better === "more" ? value / at(peer, round) : at(peer, round) / value
      );
      return { against: other, ...spread(quotients) };
    });
    return { name, ...spread(own), ratios };
  });
}

/** The median, the least and the greatest. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: quantile(sorted, 0.5), low: at(sorted, 0), high: at(sorted, sorted.length - 1) };
}

/** A quantile of sorted values, between neighbours where it falls between them. */
export function quantile(sorted: readonly number[], share: number): number {
  const place = share * (sorted.length - 1);
  const below = at(sorted, Math.floor(place));
  return below + (at(sorted, Math.ceil(place)) - below) * (place - Math.floor(place));
}

/** How long some work takes. */
export async function millisecondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** How often a second something is done that `work` does `count` times. */
export async function perSecond(count: number, work: () => Promise<unknown>): Promise<number> {
  return count * 1_000 / await millisecondsOf(work);
}

function at(values: readonly number[], index: number): number {
  const value = values[index];
  if (value === undefined) throw new RangeError(`Cannot read sample ${index} of ${values.length}`);
  return value;
}
