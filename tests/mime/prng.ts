/** A seeded source of choices: the same seed makes the same corpus on every machine (mulberry32). */
export interface Prng {
  /** A whole number from 0 to `below` - 1. */
  int(below: number): number;
  /** One of the values. */
  pick<T>(values: readonly [T, ...T[]]): T;
}

export function prng(seed: number): Prng {
  let state = seed >>> 0;
  function int(below: number): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below | 0;
  }
  return { int, pick: (values) => values[int(values.length)] ?? values[0] };
}
