import { expect, test } from "bun:test";
import { download } from "../../relay/http/download.ts";

function disposition(filename: string): string {
  return download(new Uint8Array(1), filename).headers.get("content-disposition") ?? "";
}

test("a file name keeps its letters in the extended form", () => {
  expect(disposition("Rechnung ü.pdf")).toBe(
    `attachment; filename="Rechnung _.pdf"; filename*=UTF-8''Rechnung%20%C3%BC.pdf`,
  );
});

test("attack: no file name leaves its field, its folder or its reading direction", () => {
  for (
    const name of [
      'a"; x="b',
      "a\r\nSet-Cookie: x=1",
      "../../etc/passwd",
      "..\\x",
      "\u202efdp.exe",
      "a\u0000b",
      "\ud800",
      "'*()",
    ]
  ) {
    expect(disposition(name)).toMatch(
      /^attachment; filename="[A-Za-z0-9 ._-]*"; filename\*=UTF-8''[A-Za-z0-9%._~!-]*$/,
    );
    expect(decodeURIComponent(disposition(name).split("''")[1] ?? "")).not.toMatch(/[/\\\u0000-\u001f\u202e]/);
  }
});

test("a file name is cut at 200 characters", () => {
  expect(disposition("x".repeat(200))).toContain(`"${"x".repeat(200)}"`);
  expect(disposition("x".repeat(201))).toContain(`"${"x".repeat(200)}"`);
});
