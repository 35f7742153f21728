import { expect, test } from "bun:test";
import { createLog, type LogOptions } from "../relay/log.ts";
import { Secret } from "../relay/settings/secret.ts";

function setup(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const log = createLog({ write: (line) => lines.push(line), now: () => Date.UTC(2026, 10, 21, 12, 30), ...options });
  return { log, lines, first: () => JSON.parse(lines[0] ?? "null") };
}

test("a line is one JSON object with pino's field names", () => {
  const { log, lines } = setup();
  log.info("claimed", { count: 3 });
  expect(lines).toEqual(['{"level":30,"time":1795264200000,"msg":"claimed","count":3}']);
});

test("lines below the level are not written", () => {
  for (const [level, count] of [["debug", 4], ["info", 3], ["warn", 2], ["error", 1]] as const) {
    const { log, lines } = setup({ level });
    log.debug("d");
    log.info("i");
    log.warn("w");
    log.error("e");
    expect(lines).toHaveLength(count);
  }
});

test("addresses are masked in the message, in fields, in keys, in lists and in errors with their causes", () => {
  const { log, lines } = setup();
  log.error("refused ann@example.com", {
    "ann@example.com": 1,
    reply: { text: "<ann@example.com> unknown", list: ["ann@example.com"] },
    error: new Error("ann@example.com", { cause: new Error("cause ann@example.com") }),
  });
  expect(lines[0]).not.toContain("ann@");
  expect(lines[0]?.match(/a\*\*@example\.com/g)).toHaveLength(6);
});

test("LOG_ADDRESSES=full shows addresses, but never the credentials of a URL", () => {
  const { log, first } = setup({ addresses: "full" });
  log.info("to ann@example.com", { url: "postgres://relay:s3cret@db/shop" });
  expect(first()).toMatchObject({ msg: "to ann@example.com", url: "postgres://**@db/shop" });
});

test("an error shows its name, message, code and cause, and not the fields of its driver", () => {
  const { log, first } = setup();
  const error = Object.assign(new TypeError("broken"), { code: "ECONNREFUSED", query: "select 'content'" });
  log.warn("failed", { error });
  expect(first().error).toEqual({ type: "TypeError", message: "broken", code: "ECONNREFUSED" });
});

test("a secret shows as [secret], bytes as their number", () => {
  const { log, first } = setup();
  log.info("x", { password: new Secret("s3cret"), body: new Uint8Array(5) });
  expect(first()).toMatchObject({ password: "[secret]", body: "[5 bytes]" });
});

test("fields cannot overwrite level, time and message", () => {
  const { log, first } = setup();
  log.info("mine", { level: 60, time: "never", msg: "yours" });
  expect(first()).toEqual({ level: 30, time: 1795264200000, msg: "mine", level_: 60, time_: "never", msg_: "yours" });
});

test("a log with fields writes them on every line", () => {
  const { log, lines } = setup();
  log.with({ database: "home" }).with({ lease: 7 }).info("claimed", { lease: 8 });
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ database: "home", lease: 8 });
});

test("a log never throws: circles, bigints, throwing getters, throwing writers, lone surrogates", () => {
  const { log, lines } = setup();
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  const trap = {
    get boom(): never {
      throw new Error("read");
    },
    toString: () => {
      throw new Error("shown");
    },
  };
  log.info("odd", { circle, big: 10n, trap, symbol: Symbol("s"), call: () => 1, lone: "\ud800", nothing: undefined });
  log.info("bad", { bad: { toJSON: () => JSON.parse("{") } });
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(["odd", "bad"]);
  const broken = createLog({
    write: () => {
      throw new Error("EPIPE");
    },
    now: () => 0,
  });
  expect(() => broken.error("x")).not.toThrow();
});

test("a string is cut at 8,192 characters, not one before", () => {
  const { log, first } = setup();
  log.info("x", { exact: "a".repeat(8_192), above: "a".repeat(8_193) });
  expect(first().exact).toBe("a".repeat(8_192));
  expect(first().above).toBe(`${"a".repeat(8_192)}…`);
});

test("a pretty line is for people", () => {
  const { log, lines } = setup({ format: "pretty" });
  log.warn("deferred to later", { to: "ann@example.com", reason: "try again", count: 2 });
  expect(lines).toEqual(['12:30:00.000 WARN  deferred to later to=a**@example.com reason="try again" count=2']);
});

test("attack: a reply with newlines and escape sequences forges no line", () => {
  for (const format of ["json", "pretty"] as const) {
    const { log, lines } = setup({ format });
    log.info("refused\n12:00 INFO forged", { reply: "\u001b[2J\r\n\u0007\u2028x" });
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toMatch(/[\n\r\u001b\u0007]/);
  }
});
