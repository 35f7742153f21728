import type { Lab } from "./lab.ts";
import type { Measured } from "./measure.ts";

/** `full` for figures that are told to others; `quick` for a look; `tiny` only shows that the benchmark still runs. */
export type Effort = "full" | "quick" | "tiny";

/** One value for each effort. */
export type ByEffort<T> = Readonly<Record<Effort, T>>;

/** Rows that share a unit. */
export interface Table {
  /** What the numbers are, such as `mails/s`. */
  readonly unit: string;
  readonly rows: readonly Measured[];
}

/** What one benchmark found. */
export interface Section {
  readonly title: string;
  /** How it was measured, with the settings of every contender: enough to judge whether it was fair. */
  readonly method: string;
  readonly tables: readonly Table[];
}

/** One benchmark. */
export interface Benchmark {
  /** What to call it on the command line. */
  readonly name: string;
  run(lab: Lab, effort: Effort): Promise<Section>;
}
