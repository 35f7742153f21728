import { expect, test } from "bun:test";
import { CsvFault, csvLine, CsvReader } from "../relay/csv.ts";

function read(...pieces: readonly string[]) {
  const reader = new CsvReader();
  return [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
}

const TEXT = '\uFEFFa,b,c\r\n1,"x, ""y""\nz",3\n\n,,\r\nlast,"",""';
const ROWS = [
  { line: 1, cells: ["a", "b", "c"] },
  { line: 2, cells: ["1", 'x, "y"\nz', "3"] },
  { line: 5, cells: ["", "", ""] },
  { line: 6, cells: ["last", "", ""] },
];

test("a CSV is read alike wherever it is cut", () => {
  expect(read(TEXT)).toEqual(ROWS);
  for (let cut = 0; cut <= TEXT.length; cut++) expect(read(TEXT.slice(0, cut), TEXT.slice(cut))).toEqual(ROWS);
  expect(read(...TEXT)).toEqual(ROWS);
});

test("an empty text has no rows, and quotes within a bare cell stand for themselves", () => {
  expect(read("")).toEqual([]);
  expect(read("\uFEFF")).toEqual([]);
  expect(read('5" disk,x\n')).toEqual([{ line: 1, cells: ['5" disk', "x"] }]);
});

test("what is no CSV is refused with its line", () => {
  expect(() => read('a\n"b\n')).toThrow("line 2 has a quote that is not closed");
  expect(() => read('a\n"b"c\n')).toThrow("line 2 has text behind a closing quote");
  expect(() => read(`a\n"${"b".repeat(100_001)}`)).toThrow(CsvFault);
});

test("what is written is read again", () => {
  const cells = ["plain", "a,b", 'a "b"', "a\r\nb", ""];
  expect(read(`${csvLine(cells)}\n`)).toEqual([{ line: 1, cells }]);
});
