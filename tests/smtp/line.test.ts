import { expect, test } from "bun:test";
import { Line } from "../../relay/smtp/line.ts";

test("a line gives back in order what came, while it grows and shrinks", () => {
  const line = new Line<number>();
  let pushed = 0;
  let shifted = 0;
  for (let round = 0; round < 300; round++) {
    for (let item = 0; item < round % 7; item++) line.push(pushed++);
    for (let item = 0; item < round % 5 && line.length > 0; item++) expect(line.shift()).toBe(shifted++);
    expect(line.length).toBe(pushed - shifted);
  }
  while (line.length > 0) expect(line.shift()).toBe(shifted++);
  expect(shifted).toBe(pushed);
  expect(line.shift()).toBeUndefined();
});

test("remove() takes out what the test holds for and keeps the order of the rest", () => {
  const line = new Line<number>();
  for (let item = 1; item <= 200; item++) line.push(item);
  for (let item = 1; item <= 150; item++) line.shift();
  expect(line.remove((item) => item % 2 === 0)).toHaveLength(25);
  expect([line.shift(), line.shift(), line.length]).toEqual([151, 153, 23]);
});
