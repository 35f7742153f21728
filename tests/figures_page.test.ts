import { expect, test } from "bun:test";
import { withBenchmarks, withSoak } from "../bench/figures_page.ts";

const BENCHMARKS = "# Figures\n\n## Deliver\n\n| a | b |\n";

test("the benchmarks keep the soak, and the soak keeps the benchmarks, however often each is written", () => {
  const both = withSoak(BENCHMARKS, "## Soak\n\nfirst\n");
  expect(both).toStartWith("# Figures\n\n## Deliver\n\n| a | b |\n\n<!--");
  expect(both).toContain("\n\n## Soak\n\nfirst\n\n");

  const newer = withSoak(both, "## Soak\n\nsecond");
  expect(newer).toBe(both.replace("first", "second"));

  const measured = withBenchmarks(newer, BENCHMARKS.replace("Deliver", "Faster"));
  expect(measured).toBe(newer.replace("Deliver", "Faster"));
});

test("a page without the one or the other is no matter", () => {
  expect(withBenchmarks("", BENCHMARKS)).toBe(BENCHMARKS);
  expect(withBenchmarks("# Old\n", BENCHMARKS)).toBe(BENCHMARKS);
  const soak = withSoak("", "## Soak\n");
  expect(withSoak(soak, "## Soak\n")).toBe(soak);
});
