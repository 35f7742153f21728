// DESIGN: what is new in the home database is told by its transactions. A snapshot of Postgres, `xmin:xmax:running`,
// sees every transaction below `xmin`, and of those below `xmax` all that were not running. A database that has a copy
// keeps the last snapshot (`seen`) of which everything was copied, and what a later one (`upto`) sees and `seen` did
// not is what it lacks, however late a transaction came to its end.
//
//   in step ──home has changed──▶ rows ──all were read──▶ in step
//   nothing is known, or `seen` says nothing ──▶ sweep (drop what home has no more) ──▶ rows (all of them) ──▶ in step
//
// A pass goes page by page, each written together with the place that it has come to, so that a restart goes on there.
// What changes meanwhile is not seen by `upto`, and so belongs to the next pass.

/** Where a page ends: the next one begins behind it. */
export interface PagePlace {
  /** The transaction that wrote the row. */
  readonly at: string;
  readonly address: string;
}

/** What is being copied, and how far that is. */
export interface Pass {
  readonly epoch: string;
  /** Null: all is to be compared. */
  readonly from: string | null;
  readonly upto: string;
  readonly stage: "sweep" | "rows";
  readonly after: PagePlace;
}

/** How far the copy of a home's list is, as the database that has it remembers. */
export interface CopyState {
  readonly epoch: string | null;
  readonly seen: string | null;
  readonly pass: Pass | null;
}

/** What the home database says of its list. */
export interface HomeHead {
  /** In which life the database is: snapshots of another one say nothing. */
  readonly epoch: string;
  /** Of now. */
  readonly snapshot: string;
  /** The newest removal of which there is no record any more. */
  readonly forgotten: string;
  /** There is something that the snapshot that was named did not see. */
  readonly isChanged: boolean;
}

/**
 * What is to be copied; undefined: nothing. The head must have been read after the state.
 *
 * @example
 * ```ts
 * const head = { epoch: "e", snapshot: "12:12:", forgotten: "0", isChanged: true };
 * const pass = passOf({ epoch: "e", seen: "10:11:10", pass: null }, head);
 * if (pass?.stage !== "rows" || pass.after.at !== "10") throw new Error("unexpected");
 * if (passOf({ epoch: null, seen: null, pass: null }, head)?.stage !== "sweep") throw new Error("unexpected");
 * ```
 */
export function passOf({ epoch, seen, pass }: CopyState, head: HomeHead): Pass | undefined {
  if (pass?.epoch === head.epoch && isPast(pass.upto, head) && (pass.from === null || isOnRecord(pass.from, head))) {
    return pass;
  }
  const { epoch: present, snapshot: upto } = head;
  if (seen !== null && epoch === present && isPast(seen, head) && isOnRecord(seen, head)) {
    if (!head.isChanged) return undefined;
    return { epoch: present, from: seen, upto, stage: "rows", after: { at: xminOf(seen), address: "" } };
  }
  return { epoch: present, from: null, upto, stage: "sweep", after: START };
}

/** The state after a page; `last`: where it ended, undefined when it was the last one of its stage. */
export function afterPage(state: CopyState, pass: Pass, last: PagePlace | undefined): CopyState {
  if (last !== undefined) return { ...state, pass: { ...pass, after: last } };
  if (pass.stage === "sweep") return { ...state, pass: { ...pass, stage: "rows", after: START } };
  return { epoch: pass.epoch, seen: pass.upto, pass: null };
}

/** Whether all removals since this snapshot are on record. */
export function isOnRecord(snapshot: string, { forgotten }: Pick<HomeHead, "forgotten">): boolean {
  return BigInt(forgotten) < BigInt(xminOf(snapshot));
}

const START: PagePlace = { at: "0", address: "" };

/** False: the database has been put back to an earlier time. */
function isPast(snapshot: string, { snapshot: now }: HomeHead): boolean {
  return BigInt(xmaxOf(snapshot)) <= BigInt(xmaxOf(now));
}

function xminOf(snapshot: string): string {
  return snapshot.split(":")[0] ?? "";
}

function xmaxOf(snapshot: string): string {
  return snapshot.split(":")[1] ?? "";
}
