import { expect, test } from "bun:test";
import { unsubscribeHeaders, unsubscribeProblem } from "../../src/mime/unsubscribe.ts";

test("unsubscribeHeaders() offers one click for https and not for mailto (RFC 8058)", () => {
  expect(unsubscribeHeaders("https://example.com/u?t=1,2")).toBe(
    "List-Unsubscribe: <https://example.com/u?t=1,2>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
  );
  expect(unsubscribeHeaders("mailto:leave@example.com?subject=7")).toBe(
    "List-Unsubscribe: <mailto:leave@example.com?subject=7>\r\n",
  );
});

test("unsubscribeProblem() takes https and mailto URLs only", () => {
  for (const url of ["https://example.com/u", "HTTPS://example.com", "mailto:a@b"]) {
    expect([url, unsubscribeProblem(url)]).toEqual([url, undefined]);
  }
  for (
    const url of ["", "http://example.com/u", "javascript:alert(1)", "https:///x", "mailto:", "ftp://x", " https://x"]
  ) {
    expect([url, unsubscribeProblem(url)]).toEqual([url, expect.any(String)]);
  }
});

test("GHSA-268h-hp4c-crq3: CRLF in the unsubscribe URL is refused, as is what could close its bracket", () => {
  for (const bad of ["\r\nBcc: x@y", "\n", "\r", "\0", " ", "\t", ">", "<", "\x7f", "ü"]) {
    expect([bad, unsubscribeProblem(`https://example.com/${bad}x`)]).toEqual([bad, expect.stringContaining("blank")]);
  }
});

test("unsubscribeProblem() takes 900 characters and refuses 901", () => {
  const url = "https://example.com/".padEnd(900, "x");
  expect(unsubscribeProblem(url)).toBeUndefined();
  expect(unsubscribeProblem(`${url}x`)).toMatch(/900/);
});
