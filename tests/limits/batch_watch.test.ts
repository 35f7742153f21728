import { expect, test } from "bun:test";
import { BatchWatch } from "../../relay/limits/batch_watch.ts";
import { outcome } from "../queue/setup.ts";

class Watched {
  readonly paused: { readonly batch: string; readonly reason: string }[] = [];
  readonly said: string[] = [];
  isAway = false;
  readonly watch: BatchWatch;

  constructor(limit: number) {
    this.watch = new BatchWatch({
      limit,
      pause: async (pause) => {
        if (this.isAway) throw new Error("away");
        this.paused.push(pause);
        await Promise.resolve();
      },
      log: { warn: (what) => void this.said.push(what) },
    });
  }

  answered(batch: string | null, kind: "sent" | "bounced" | "deferred" | "uncertain", times: number): void {
    for (let time = 0; time < times; time++) this.watch.settled({ batch }, { outcomes: [outcome(kind)] });
  }
}

test("a batch is paused at the 100th answer when the share is reached, and not one before", () => {
  const watched = new Watched(0.05);
  watched.answered("a", "bounced", 5);
  watched.answered("a", "sent", 94);
  expect(watched.paused).toEqual([]);
  watched.answered("a", "sent", 1);
  expect(watched.paused.map(({ batch }) => batch)).toEqual(["a"]);
  expect(watched.paused[0]?.reason).toBe(
    "5 % of its last 100 recipients were refused for good; RELAY_BATCH_FAILURES is 5%",
  );
  expect(watched.said).toEqual(["batch paused"]);
});

test("one below the share, what was deferred or is uncertain, other batches and mail of none pause nothing", () => {
  const watched = new Watched(0.05);
  watched.answered("a", "bounced", 4);
  watched.answered("a", "sent", 96);
  watched.answered("b", "bounced", 99);
  watched.answered("b", "deferred", 1_000);
  watched.answered("b", "uncertain", 1_000);
  watched.answered(null, "bounced", 1_000);
  expect(watched.paused).toEqual([]);
});

test("after a pause the count begins anew: who resumes a batch gets another hundred tries", () => {
  const watched = new Watched(0.5);
  watched.answered("a", "bounced", 199);
  expect(watched.paused).toHaveLength(1);
  watched.answered("a", "bounced", 1);
  expect(watched.paused).toHaveLength(2);
});

test("what was long ago weighs less: a batch that goes wrong late is paused", () => {
  const watched = new Watched(0.5);
  watched.answered("a", "sent", 100_000);
  watched.answered("a", "bounced", 499);
  expect(watched.paused).toEqual([]);
  watched.answered("a", "bounced", 1);
  expect(watched.paused.map(({ reason }) => reason)).toEqual([
    "50 % of its last 1000 recipients were refused for good; RELAY_BATCH_FAILURES is 50%",
  ]);
});

test("a pause that could not be written is tried again at the next answer", async () => {
  const watched = new Watched(0.5);
  watched.isAway = true;
  watched.answered("a", "bounced", 100);
  await Promise.resolve();
  await Promise.resolve();
  expect(watched.said).toEqual(["batch paused", "cannot pause a batch"]);
  watched.isAway = false;
  watched.answered("a", "bounced", 1);
  expect(watched.paused).toHaveLength(1);
});
