import { expect, test } from "bun:test";
import { formatDuration, parseDuration } from "../../relay/time/duration.ts";

test("a duration is a whole number and one of five units", () => {
  expect(parseDuration("500ms")).toBe(500);
  expect(parseDuration("90s")).toBe(90_000);
  expect(parseDuration("2m")).toBe(120_000);
  expect(parseDuration("12h")).toBe(43_200_000);
  expect(parseDuration("30d")).toBe(2_592_000_000);
  expect(parseDuration("0s")).toBe(0);
});

test("every proper part of a duration without its unit, and every text around one, is refused", () => {
  for (
    const text of [
      "",
      "1",
      "12",
      "120",
      "s",
      "ms",
      " 1s",
      "1s ",
      "1s\n",
      "-1s",
      "1.5s",
      "1S",
      "1 s",
      "1h30m",
      "1w",
      "1e3s",
    ]
  ) {
    expect([text, parseDuration(text)]).toEqual([text, undefined]);
  }
});

test("a duration too long to count exactly in milliseconds is refused", () => {
  expect(parseDuration("9007199254s")).toBe(9_007_199_254_000);
  expect(parseDuration("999999999999d")).toBeUndefined();
});

test("a formatted duration reads back as the same length, in its largest whole unit", () => {
  expect(formatDuration(86_400_000)).toBe("1d");
  expect(formatDuration(90_000)).toBe("90s");
  for (const ms of [0, 1, 999, 1_000, 59_999, 60_000, 3_600_000, 86_400_001]) {
    expect(parseDuration(formatDuration(ms))).toBe(ms);
  }
});
