import { expect, test } from "bun:test";
import { isUuid } from "../../src/is_uuid.ts";
import { uuidv7 } from "../../src/uuid.ts";

const RANDOM = "ffffffff-ffff-4fff-bfff-ffffffffffff";

test("uuidv7() holds the time, version 7 and the variant of RFC 9562", () => {
  // The example of RFC 9562, appendix A.6.
  expect(uuidv7(0x017f22e279b0, "9e6e7a2c-1d0b-4cc3-98c4-dc0c0c07398f")).toBe("017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
  expect(uuidv7(0, RANDOM)).toBe("00000000-0000-7fff-bfff-ffffffffffff");
  expect(uuidv7(2 ** 48 - 1, RANDOM)).toBe("ffffffff-ffff-7fff-bfff-ffffffffffff");
});

test("uuidv7() sorts by time", () => {
  const times = [0, 1, 999, 1_000, 1_700_000_000_000, 1_700_000_000_001, 2 ** 48 - 1];
  const ids = times.map((nowMs) => uuidv7(nowMs, crypto.randomUUID()));
  expect([...ids].sort()).toEqual(ids);
});

test("uuidv7() is another one in the same millisecond", () => {
  const ids = Array.from({ length: 10_000 }, () => uuidv7(0, crypto.randomUUID()));
  expect(new Set(ids).size).toBe(10_000);
  expect(ids.every(isUuid)).toBe(true);
  expect(ids.every((id) => /^.{14}7.{4}[89ab]/.test(id))).toBe(true);
});

test("isUuid() takes UUIDs of any version in any case, and nothing around them", () => {
  expect(isUuid("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")).toBe(true);
  for (
    const bad of [
      "",
      "42",
      "017f22e279b07cc398c4dc0c0c07398f",
      "017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n",
      "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
    ]
  ) {
    expect(isUuid(bad)).toBe(false);
  }
});
