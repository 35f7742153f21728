import { afterAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BENCHMARKS } from "../bench/all.ts";
import type { Section } from "../bench/benchmark.ts";
import { type Lab, openLab } from "../bench/lab.ts";
import { measure, quantile, spread } from "../bench/measure.ts";
import { runProgram } from "../bench/relay_process.ts";
import { renderPage, renderSection } from "../bench/report.ts";
import { serveSink, take, type Visitor } from "../bench/sink_server.ts";
import { renderTargets, TARGETS } from "../bench/targets.ts";
import { thoroughly } from "./thoroughly.ts";

const RUN = join(import.meta.dir, "../bench/run.ts");

/** Samples from a list, one after the other. */
function samplesOf(...values: number[]): () => Promise<number> {
  return () => Promise.resolve(values.shift() ?? Number.NaN);
}

describe("measure()", () => {
  test("lets the contenders take turns and leaves the warm-up out", async () => {
    const turns: string[] = [];
    const contender = (name: string, ...values: number[]) => {
      const sample = samplesOf(...values);
      return { name, sample: () => (turns.push(name), sample()) };
    };
    const rows = await measure([contender("ours", 99, 1, 2), contender("peer", 99, 3, 4)], {
      rounds: 2,
      better: "more",
    });
    expect(turns).toEqual(["ours", "peer", "ours", "peer", "ours", "peer"]);
    expect(rows).toEqual([
      { name: "ours", median: 1.5, low: 1, high: 2, ratios: [] },
      { name: "peer", median: 3.5, low: 3, high: 4, ratios: [] },
    ]);
  });

  test("takes the ratio within each round, above 1 for the better one, for rates and for times", async () => {
    const contenders = () => [
      { name: "ours", against: ["peer"], sample: samplesOf(10, 40, 90) },
      { name: "peer", sample: samplesOf(10, 20, 30) },
    ];
    const [rate] = await measure(contenders(), { rounds: 3, warmUps: 0, better: "more" });
    expect(rate?.ratios).toEqual([{ against: "peer", median: 2, low: 1, high: 3 }]);
    const [time] = await measure(contenders(), { rounds: 3, warmUps: 0, better: "less" });
    expect(time?.ratios).toEqual([{ against: "peer", median: 1 / 2, low: 1 / 3, high: 1 }]);
  });

  test("refuses to compare with nobody, and to measure nothing", async () => {
    const ours = { name: "ours", against: ["peer"], sample: samplesOf(1, 1) };
    await expect(measure([ours], { rounds: 1, better: "more" })).rejects.toThrow("there is no contender peer");
    await expect(measure([ours], { rounds: 0, better: "more" })).rejects.toThrow("rounds is 0");
    expect(() => spread([])).toThrow("Cannot read sample");
  });

  test("quantile() stands between its neighbours", () => {
    expect(quantile([10, 20, 30, 40], 0.5)).toBe(25);
    expect(quantile([10, 20, 30, 40], 1)).toBe(40);
  });
});

describe("the sink", () => {
  const DIALOGUE = "EHLO a\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\n" +
    ".. one\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n.\r\nQUIT\r\n";
  const ANSWER = [
    "250-sink",
    "250-PIPELINING",
    "250-8BITMIME",
    "250 ENHANCEDSTATUSCODES",
    ...["250", "250", "354", "250", "250", "250", "354", "250"],
    "221",
  ];

  /** The first words of the replies. */
  function firstWords(said: string): readonly string[] {
    return said.trimEnd().split("\r\n").map((line, index) => index < 4 ? line : line.slice(0, 3));
  }

  test("gives the same replies wherever its input is cut, and counts each MAIL and each final dot", () => {
    for (let cut = 0; cut <= DIALOGUE.length; cut++) {
      const visitor: Visitor = { inData: false, rest: "" };
      const counts = { mails: 0, accepted: 0 };
      const events = { onMail: () => counts.mails++, onAccepted: () => counts.accepted++ };
      const said = take(visitor, DIALOGUE.slice(0, cut), events) + take(visitor, DIALOGUE.slice(cut), events);
      expect({ cut, said: firstWords(said), ...counts }).toEqual({ cut, said: ANSWER, mails: 2, accepted: 2 });
    }
  });

  test("keeps no more of a large mail than may be the begin of its end", () => {
    const visitor: Visitor = { inData: false, rest: "" };
    take(visitor, "DATA\r\n");
    for (let count = 0; count < 100; count++) take(visitor, "x".repeat(10_000));
    expect(visitor.rest.length).toBeLessThan(5);
    expect(take(visitor, "\r\n.\r\n")).toStartWith("250");
  });

  test("greets, answers over a socket, and hangs up after QUIT", async () => {
    const sink = serveSink();
    const said = await new Promise<string>((resolve, reject) => {
      let said = "";
      const data = (_socket: unknown, bytes: Buffer) => void (said += bytes.toString("latin1"));
      const open = (socket: { write(text: string): number }) => void socket.write(DIALOGUE);
      Bun.connect({
        hostname: "127.0.0.1",
        port: sink.port,
        socket: { open, data, close: () => resolve(said), error: (_socket, error) => reject(error) },
      }).catch(reject);
    });
    sink.stop();
    const [greeting, ...replies] = said.trimEnd().split("\r\n");
    expect(greeting).toStartWith("220 ");
    expect(firstWords(replies.join("\r\n"))).toEqual(ANSWER);
  });
});

// All of them, since each target has to find its rows: nothing that people wait for.
if (thoroughly) describe("each benchmark runs once, tiny", runEach);

function runEach(): void {
  let lab: Promise<Lab> | undefined;
  const sections = new Map<string, Section>();
  const open = () =>
    lab ??= openLab({ durable: false, sinkKind: "bun", parent: existsSync("/dev/shm") ? "/dev/shm" : tmpdir() });
  afterAll(async () => await (await lab)?.[Symbol.asyncDispose]());

  for (const benchmark of BENCHMARKS) {
    test(benchmark.name, async () => {
      const section = await benchmark.run(await open(), "tiny");
      sections.set(benchmark.name, section);
      for (const { unit, rows } of section.tables) {
        for (const row of rows) {
          expect({ unit, row, isNumber: Number.isFinite(row.median) && row.low <= row.high }).toMatchObject({
            isNumber: true,
          });
          for (const ratio of row.ratios) expect(ratio.median).toBeGreaterThan(0);
          expect(renderSection(section)).toContain(row.name);
        }
      }
      expect(section.tables.flatMap(({ rows }) => rows).length).toBeGreaterThan(1);
    }, 120_000);
  }

  test("and each target finds its rows among what they found", () => {
    expect(sections.size).toBe(BENCHMARKS.length);
    const page = renderTargets(sections, { isQuick: false, loads: [1, 1] });
    const lines = page.split("\n").filter((line) => line.startsWith("| "));
    expect(lines).toHaveLength(TARGETS.length + 2);
    expect(lines.filter((line) => line.includes("not measured"))).toEqual([]);
  });
}

test("a target that is not reached says so, and so does one whose benchmark was not run", () => {
  const row = (name: string, median: number) => ({ name, median, low: median, high: median, ratios: [] });
  const sections = new Map([["latency", {
    title: "Latency",
    method: "Fair.",
    tables: [{ unit: "ms, commit → MAIL at the server", rows: [row("relay, p50", 5.01), row("relay, p99", 4)] }],
  }]]);
  const page = renderTargets(sections, { isQuick: true, loads: [0.5, 12.25] });
  expect(page).toContain("before the run 0.5, after it 12.3. A quick look");
  expect(page).toMatch(/^\| commit → claimed, idle relay, p50 +\| ≤ 5 ms +\| 5\.01 ms +\| +\| \*\*not met\*\* +\|$/m);
  expect(page).toMatch(/^\| round trips a mail [^|]+\| 1 +\| not in this run +\| +\| not measured +\|$/m);
});

test("the page tells each ratio, with its peer, under the facts of the machine", () => {
  const ratio = { median: 2.345, low: 2, high: 12.34 };
  const ratios = [{ against: "peer", ...ratio }, { against: "other", ...ratio }];
  const rows = [
    { name: "ours", median: 1_234.5, low: 1_000, high: 2_000, ratios },
    { name: "peer", median: 5.25, low: 5, high: 50.54, ratios: [] },
  ];
  const sections = [{ title: "Deliver", method: "Fair.", tables: [{ unit: "mails/s", rows }] }];
  const page = renderPage([["CPU", "fast"]], { targets: "## Targets\n\nAll met.", sections });
  expect(page.indexOf("## Targets")).toBeLessThan(page.indexOf("## Deliver"));
  expect(page.split("\n").filter((line) => line.startsWith("| ")).map((line) => line.replace(/ +/g, " "))).toEqual([
    "| | |",
    "| --- | ---- |",
    "| CPU | fast |",
    "| | mails/s | from – to | times as good as |",
    `| ---- | ------- | ------------- | ${"-".repeat(59)} |`,
    "| ours | 1,235 | 1,000 – 2,000 | **2.35×** (2.00 – 12.3) peer; **2.35×** (2.00 – 12.3) other |",
    "| peer | 5.25 | 5.00 – 50.5 | |",
  ]);
});

for (
  const [args, problem] of [
    [["nothing"], "Cannot run nothing: there are deliver,"],
    [["compose", "bulk"], "Cannot run more than one"],
    [["--sink", "exim"], "Cannot use --sink exim"],
    [["compose", "--write"], "Cannot write docs/figures.md from a part"],
    [["--fast"], "Cannot read the command line"],
  ] as const
) {
  test(`bench/run.ts ${args.join(" ")} ends with 2 and says why`, async () => {
    await expect(runProgram([RUN, ...args])).rejects.toThrow(new RegExp(`ended with 2: ${problem}`));
  });
}
