import type { Trouble } from "./fleet.ts";
import type { AttemptRow } from "./rows.ts";
import type { Copy } from "./sink.ts";

/**
 * Why a copy could be brought a second time with no `uncertain` attempt on record; `unexplained`: nothing that we did.
 */
export type Cause = Trouble["kind"] | "unexplained";

/** What is known about one recipient. */
export interface RecipientHistory {
  /** Those that the sink answered with 250, or received whole and never answered; in their order. */
  readonly copies: readonly Copy[];
  readonly attempts: readonly AttemptRow[];
  /** Its last copy is the one that is on record as `sent`. */
  readonly isSent: boolean;
}

/** What must stand behind each copy that is not the one on record as `sent`. */
export interface Explanations {
  /** `uncertain` attempts, as it should be. */
  readonly recorded: number;
  /** The others, with what may explain them. */
  readonly unrecorded: readonly { readonly copy: Copy; readonly cause: Cause }[];
}

/** The sink and the database look at their clocks at different times: it may read late what a relay gave up on. */
const SLACK_MS = 1_000;

/**
 * Finds for every copy but the one on record as `sent` the attempt that says `uncertain`, or else the trouble that its
 * relay had between this copy and the next.
 */
export function explain(history: RecipientHistory, troubles: readonly Trouble[], leaseMs: number): Explanations {
  const { copies, attempts, isSent } = history;
  const uncertain = attempts.filter(({ outcome }) => outcome === "uncertain");
  const used = new Set<AttemptRow>();
  let recorded = 0;
  const unrecorded: { readonly copy: Copy; readonly cause: Cause }[] = [];
  for (const [place, copy] of copies.entries()) {
    const next = copies[place + 1];
    if (next === undefined && isSent) break;
    const untilMs = next?.receivedMs ?? Infinity;
    const attempt = uncertain.find((each) =>
      !used.has(each) && each.atMs >= copy.receivedMs - SLACK_MS && each.atMs <= untilMs
    );
    if (attempt === undefined) {
      unrecorded.push({ copy, cause: causeOf(copy, next, { troubles, leaseMs }) });
    } else {
      used.add(attempt);
      recorded++;
    }
  }
  return { recorded, unrecorded };
}

/**
 * What kept the relay that brought this copy from writing it down in time, or the one that brought the next from
 * knowing.
 */
function causeOf(
  copy: Copy,
  next: Copy | undefined,
  { troubles, leaseMs }: { readonly troubles: readonly Trouble[]; readonly leaseMs: number },
): Cause {
  const untilMs = next?.receivedMs ?? Infinity;
  const fits = ({ kind, relay, fromMs, toMs }: Trouble) => {
    // A relay that was frozen in the middle of a dialogue goes on with it when it wakes: its copy comes last.
    const isTheirs = relay === undefined || relay === copy.relay || (kind === "frozen" && relay === next?.relay);
    // A lease that nobody could prolong ends up to its length after the last time that it was.
    const lateMs = kind === "killed" ? SLACK_MS : leaseMs;
    return isTheirs && toMs >= copy.receivedMs - lateMs && fromMs <= untilMs;
  };
  return (["killed", "frozen", "database"] as const)
    .find((kind) => troubles.some((trouble) => trouble.kind === kind && fits(trouble))) ?? "unexplained";
}
