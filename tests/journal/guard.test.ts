import { expect, test } from "bun:test";
import { JournalGuard } from "../../relay/journal/guard.ts";
import { createLog } from "../../relay/log.ts";

test("nothing may be begun while the journal cannot be written, which is said once, and once when it can be again", () => {
  let trouble: string | undefined;
  const lines: string[] = [];
  const log = createLog({ write: (line) => lines.push(JSON.parse(line).msg), now: () => 0 });
  const guard = new JournalGuard({ journal: { trouble: () => trouble }, log });
  expect([guard.look(), guard.trouble]).toEqual([true, undefined]);
  trouble = "No space left on device";
  expect([guard.look(), guard.look(), guard.trouble]).toEqual([false, false, trouble]);
  trouble = undefined;
  expect([guard.look(), guard.look(), guard.trouble]).toEqual([true, true, undefined]);
  expect(lines).toEqual(["the journal cannot be written: no mail is begun", "the journal can be written again"]);
});
