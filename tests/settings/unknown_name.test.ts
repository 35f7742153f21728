import { expect, test } from "bun:test";
import { editDistance } from "../../relay/settings/unknown_name.ts";

test("the distance of two names counts inserted, removed, replaced and swapped letters", () => {
  expect(editDistance("", "")).toBe(0);
  expect(editDistance("", "abc")).toBe(3);
  expect(editDistance("RELAY_POLL", "RELAY_POLL")).toBe(0);
  expect(editDistance("RELAY_POL", "RELAY_POLL")).toBe(1);
  expect(editDistance("RELAY_PLOL", "RELAY_POLL")).toBe(1);
  expect(editDistance("kitten", "sitting")).toBe(3);
});
