import { expect, test } from "bun:test";
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RoutedOutcome } from "../../relay/delivery/transport.ts";
import { Journal } from "../../relay/journal/journal.ts";
import { JournalMemory } from "../../relay/journal/memory.ts";
import { type JournalRecord, type Mark, parseRecord, recordLine } from "../../relay/journal/record.ts";
import { systemClock } from "../../relay/time/clock.ts";
import { temporaryDirectory } from "../relay_process.ts";

const MARK: Mark = { database: "home", seq: "7", lease: "3" };

function sent(position: number): RoutedOutcome {
  const reply = { code: 250, text: "taken “as” it is" };
  return { position, kind: "sent", phase: "final", blame: "message", reply, reason: "taken", route: "default" };
}

/** Timers that a test lets pass. */
function heldTimers() {
  const calls: (() => void)[] = [];
  return {
    after: (_delayMs: number, callback: () => void) => {
      calls.push(callback);
      return () => undefined;
    },
    pass: () => {
      for (const call of calls.splice(0)) call();
    },
  };
}

/** The files of the journal itself; beside them lies the flight log. */
const filesIn = (directory: string): readonly string[] =>
  readdirSync(directory).filter((name) => name.endsWith(".journal")).sort();

const linesIn = (directory: string): readonly string[] =>
  filesIn(directory).flatMap((name) => readFileSync(join(directory, name), "utf8").split("\n").filter(Boolean));

test("a line that is cut anywhere, or has one other character, is no record", () => {
  const line = recordLine({ kind: "outcome", mark: MARK, outcomes: [sent(0)] }).trimEnd();
  expect(parseRecord(line)).toEqual({ kind: "outcome", mark: MARK, outcomes: [sent(0)] });
  for (let cut = 0; cut < line.length; cut++) {
    expect(parseRecord(line.slice(0, cut))).toBeUndefined();
    expect(parseRecord(`${line.slice(0, cut)}#${line.slice(cut + 1)}`)).toBeUndefined();
  }
});

test("an intent is in the file when it returns, and the outcome before it is in the same write", () => {
  using folder = temporaryDirectory();
  const { after } = heldTimers();
  const journal = new Journal(folder.path, after);
  journal.intent(MARK, "default", [0]);
  expect(linesIn(folder.path).map(parseRecord)).toEqual([{
    kind: "intent",
    mark: MARK,
    route: "default",
    positions: [0],
  }]);
  journal.outcome(MARK, [sent(0)]);
  expect(linesIn(folder.path)).toHaveLength(1);
  journal.intent({ ...MARK, seq: "8" }, "default", [0, 1]);
  expect(linesIn(folder.path).map((line) => parseRecord(line)?.kind)).toEqual(["intent", "outcome", "intent"]);
  journal.close();
});

test("an outcome that no intent follows is written at the end of the turn", () => {
  using folder = temporaryDirectory();
  const timers = heldTimers();
  const journal = new Journal(folder.path, timers.after);
  journal.intent(MARK, "default", [0]);
  journal.outcome(MARK, [sent(0)]);
  timers.pass();
  expect(linesIn(folder.path)).toHaveLength(2);
  journal.close();
});

test("what a process left is found again: outcomes, intents alone as uncertain, new leases; a torn last line costs itself only", () => {
  using folder = temporaryDirectory();
  const first = new Journal(folder.path, systemClock.after);
  first.intent(MARK, "default", [0, 2]);
  first.outcome(MARK, [sent(0)]);
  first.intent({ ...MARK, seq: "8" }, "backup", [0]);
  first.moved({ ...MARK, seq: "8" }, "9");
  first.intent({ ...MARK, database: "other", seq: "1" }, "default", [0]);
  first.close();
  const [name = ""] = filesIn(folder.path);
  const whole = readFileSync(join(folder.path, name), "utf8");
  writeFileSync(join(folder.path, name), whole.slice(0, -20));

  const second = new Journal(folder.path, systemClock.after);
  expect(second.damagedLines).toBe(1);
  const kinds = ({ found }: Journal, mark: Mark) =>
    [...found.get(mark)?.outcomes.values() ?? []].map(({ kind, route }) => `${kind} ${route}`);
  expect(kinds(second, MARK)).toEqual(["sent default", "uncertain default"]);
  expect(kinds(second, { ...MARK, seq: "8" })).toEqual([]);
  expect(kinds(second, { ...MARK, seq: "8", lease: "9" })).toEqual(["uncertain backup"]);
  expect([...second.found.databases]).toEqual(["home"]);
  // Until the database has it, it stays, over any number of starts.
  second.close();
  const third = new Journal(folder.path, systemClock.after);
  expect(kinds(third, MARK)).toEqual(["sent default", "uncertain default"]);
  third.replayed("other");
  expect(linesIn(folder.path)).not.toEqual([]);
  third.replayed("home");
  expect(linesIn(folder.path)).toEqual([]);
  third.close();
  expect(readdirSync(folder.path)).toEqual([]);
});

test("a claim that has a new lease is known by that from then on: its outcome is noted, and its end lets its file go", () => {
  using folder = temporaryDirectory();
  const journal = new Journal(folder.path, systemClock.after);
  const moved = { ...MARK, lease: "4" };
  journal.intent(MARK, "default", [0]);
  journal.moved(MARK, moved.lease);
  journal.outcome(moved, [sent(0)]);
  journal.close();
  const next = new Journal(folder.path, systemClock.after);
  expect([...next.found.get(moved)?.outcomes.values() ?? []]).toEqual([sent(0)]);
  next.replayed("home");
  next.intent(MARK, "default", [0]);
  next.moved(MARK, moved.lease);
  next.settled(moved);
  next.close();
  expect(readdirSync(folder.path)).toEqual([]);
});

test("files are deleted when all in them is settled, and no sooner", () => {
  using folder = temporaryDirectory();
  const { after } = heldTimers();
  const journal = new Journal(folder.path, after);
  const marks = Array.from({ length: 30_000 }, (_, seq) => ({ ...MARK, seq: String(seq) }));
  for (const mark of marks) journal.intent(mark, "default", [0]);
  expect(filesIn(folder.path).length).toBeGreaterThan(2);
  for (const mark of marks.slice(1)) journal.settled(mark);
  const left = filesIn(folder.path);
  expect(left).toHaveLength(2);
  const memory = new JournalMemory();
  for (const line of linesIn(folder.path)) memory.add(parseRecord(line) as JournalRecord);
  expect(memory.get(marks[0] as Mark)).toBeDefined();
  journal.settled(marks[0] as Mark);
  expect(filesIn(folder.path)).toHaveLength(1);
  journal.close();
  expect(readdirSync(folder.path)).toEqual([]);
});

test("an outcome, and a new lease, in a later file than the intent outlive that file's other claims", () => {
  for (const [what, lease] of [["outcome", MARK.lease], ["moved", "99"]] as const) {
    using folder = temporaryDirectory();
    const timers = heldTimers();
    const journal = new Journal(folder.path, timers.after);
    let seq = 100;
    /** Claims of another database, more of them than a file takes. */
    const fill = () => {
      const marks = Array.from({ length: 12_000 }, () => ({ ...MARK, database: "other", seq: String(seq++) }));
      for (const mark of marks) journal.intent(mark, "default", [0]);
      return marks;
    };
    journal.intent(MARK, "default", [0]);
    const first = fill();
    if (what === "moved") journal.moved(MARK, lease);
    journal.outcome({ ...MARK, lease }, [sent(0)]);
    timers.pass();
    const second = fill();
    // That database answers, and ours is away.
    for (const mark of [...first, ...second]) journal.settled(mark);
    const found = new Journal(folder.path, timers.after).found.get({ ...MARK, lease });
    expect([what, found?.outcomes.get(0)?.kind]).toEqual([what, "sent"]);
    journal.settled({ ...MARK, lease });
    journal.close();
  }
});

test("a folder that somebody deletes is made anew, and what is written from then on is there", () => {
  using folder = temporaryDirectory();
  const timers = heldTimers();
  const directory = join(folder.path, "journal");
  const journal = new Journal(directory, timers.after);
  journal.intent(MARK, "default", [0]);
  rmSync(directory, { recursive: true });
  timers.pass();
  journal.intent({ ...MARK, seq: "8" }, "default", [0]);
  expect(linesIn(directory)).toHaveLength(1);
  journal.close();
});

test("what cannot be written is an error that names the folder, and the journal says so until it can", () => {
  using folder = temporaryDirectory();
  const timers = heldTimers();
  const directory = join(folder.path, "journal");
  const journal = new Journal(directory, timers.after);
  journal.intent(MARK, "default", [0]);
  // As good as a full disk: the file is gone, and a new one cannot be made since a file stands where its folder was.
  rmSync(directory, { recursive: true });
  writeFileSync(directory, "");
  expect(() => timers.pass()).not.toThrow();
  expect(() => journal.intent({ ...MARK, seq: "8" }, "default", [0])).toThrow(directory);
  expect(journal.trouble()).toContain("EEXIST");
  rmSync(directory);
  expect(journal.trouble()).toBeUndefined();
  journal.intent({ ...MARK, seq: "9" }, "default", [0]);
  expect(linesIn(directory).map(parseRecord).map((record) => record?.mark.seq)).toEqual(["9"]);
  journal.close();
});

test("its folder and files are for this user alone", () => {
  using folder = temporaryDirectory();
  chmodSync(folder.path, 0o755);
  const directory = join(folder.path, "journal");
  const journal = new Journal(directory, systemClock.after);
  const [name = ""] = filesIn(directory);
  expect((statSync(directory).mode & 0o777).toString(8)).toBe("700");
  expect((statSync(join(directory, name)).mode & 0o777).toString(8)).toBe("600");
  journal.close();
});
