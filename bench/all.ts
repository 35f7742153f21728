import type { Benchmark } from "./benchmark.ts";
import { bulk } from "./bulk.ts";
import { bundle } from "./bundle.ts";
import { compose } from "./compose.ts";
import { deliver } from "./deliver.ts";
import { enqueue } from "./enqueue.ts";
import { lanes } from "./lanes.ts";
import { latency } from "./latency.ts";
import { memory } from "./memory.ts";
import { roundTrips } from "./round_trips.ts";
import { scale } from "./scale.ts";
import { scheduled } from "./scheduled.ts";
import { sendMany } from "./send_many.ts";
import { send } from "./send.ts";
import { suppressions } from "./suppressions.ts";

/** Every benchmark, in the order of the page. */
export const BENCHMARKS: readonly Benchmark[] = [
  deliver,
  send,
  roundTrips,
  latency,
  lanes,
  enqueue,
  bulk,
  sendMany,
  scale,
  scheduled,
  suppressions,
  compose,
  bundle,
  memory,
];
