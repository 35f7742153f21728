import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MailchuteError } from "../../mod.ts";
import { thoroughly } from "../thoroughly.ts";
import { type Bench, openBench } from "./bench.ts";
import type { Call } from "./call.ts";
import { meaningOf } from "./meaning.ts";
import { messageCall } from "./message_call.ts";
import { leadsIntoMail } from "./path.ts";
import { watchFuzz } from "./watch_fuzz.ts";
import { wireFaults } from "./wire.ts";

/** FUZZ_SEED and FUZZ_RUNS, as for `npm run fuzz`. */
const SEED = Number(process.env.FUZZ_SEED ?? 2_026);
const RUNS = Number(process.env.FUZZ_RUNS ?? (thoroughly ? 400 : 100));

let bench: Bench;
beforeAll(async () => {
  bench = await openBench({ callMs: 1_000 });
}, 60_000);
afterAll(async () => await bench?.[Symbol.asyncDispose]());

test(
  `${RUNS} random calls of the client (seed ${SEED}) are refused with a place or come out of the relay and read back the same`,
  async () => {
    const report = await watchFuzz({ seed: SEED, runs: RUNS });
    expect(report.findings).toEqual([]);
    expect(report.calls).toBe(RUNS);
    // Else there would have been nothing to see.
    expect(report.refused).toBeGreaterThan(0.2 * RUNS);
    expect(report.delivered).toBeGreaterThan(0.4 * RUNS);
  },
  60_000,
);

test("a run that hangs is killed, and the seed of its batch is told", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mailchute-fuzz-"));
  const program = join(folder, "endless.ts");
  await Bun.write(program, `console.log("batch 7"); console.log("batch 8"); for (;;);`);
  const error = await watchFuzz({ seed: 7, runs: 300, program, hangMs: 1_500 }).catch((error: Error) => error);
  rmSync(folder, { recursive: true });
  expect(String(error)).toContain(
    "It hangs: nothing in 1500 ms from the batch with seed 8: run it again with FUZZ_SEED=8",
  );
});

const FIELDS = { to: "ann@example.com", subject: "Hello", text: "Hello\n" };
const GOOD = messageCall({ fields: FIELDS, isValid: true, shape: "plain" });
const reject = (error: unknown) => () => Promise.reject(error);
const issues = [{ path: "subject", message: "it is odd" }];

/** What the judge must see, each with a word of the fault. */
const BAD: Readonly<Record<string, readonly [call: Partial<Call>, fault: string | undefined]>> = {
  "a good mail": [{}, undefined],
  "a crash": [{ send: reject(new TypeError("x is undefined")) }, "it crashed: TypeError: x is undefined"],
  "a call that hangs": [{ send: () => new Promise(() => {}) }, "it crashed: Error: the call hangs"],
  "a good mail that is refused": [
    { send: reject(new MailchuteError("validation_error", "x", { issues })) },
    "every field is as the docs have it",
  ],
  "a refusal for another reason": [
    { send: reject(new MailchuteError("timeout", "x", { issues })) },
    "the code is timeout",
  ],
  "a refusal without a place": [{ send: reject(new MailchuteError("too_large", "x")) }, "no issue says where"],
  "a refusal with a place that is none": [
    { send: reject(new MailchuteError("too_large", "x", { issues: [{ path: "to.7", message: "m" }] })) },
    'no place in the input is called "to.7"',
  ],
  "a refusal by the database": [
    { send: reject(new MailchuteError("validation_error", "x", { issues, cause: { code: "MC001" } })) },
    "the client let through what the database refused",
  ],
  "a refusal that breaks a line of a log": [
    { send: reject(new MailchuteError("too_large", "a\nb", { issues })) },
    "a line of a log",
  ],
  "another subject": [meant({ subject: "Hello!" }), 'subject reads "Hello" instead of "Hello!"'],
  "another text": [meant({ text: "Hello" + "!" }), "text reads"],
  "another recipient": [meant({ to: "bob@example.com" }), "it went to"],
  "a recipient who got nothing": [meant({ bcc: "bob@example.com" }), "it went to"],
  "another return path": [meant({ returnPath: "x@example.com" }), "its return path is"],
  "a header that is lost": [meant({ headers: { "X-A": "1" } }), "its header has"],
  "an attachment that is lost": [
    meant({ attachments: [{ filename: "a", content: new Uint8Array(9) }] }),
    "the bytes of",
  ],
  "tags that are lost": [meant({ tags: ["a"] }), "the database keeps"],
  "a mail that is not there": [{ send: () => Promise.resolve(["x"]) }, "it is not in the database"],
  "a mail too few": [{ send: () => Promise.resolve([]) }, "it became 0 mails instead of 1"],
};

function meant(fields: object): Partial<Call> {
  return {
    meanings: async () => [await meaningOf({ ...FIELDS, ...fields }, { email: "shop@example.com", name: "Shop" })],
  };
}

test("the judge sees each fault that there may be", async () => {
  const calls = Object.values(BAD).map(([call]) => ({ ...GOOD, ...call }));
  const verdicts = await bench.judge(calls);
  Object.entries(BAD).forEach(([name, [, fault]], index) => {
    const faults = verdicts[index]?.faults.join("\n") ?? "none";
    if (fault === undefined) expect([name, faults]).toEqual([name, ""]);
    else expect([name, faults]).toEqual([name, expect.stringContaining(fault)]);
  });
});

test("a mail that was refused and is stored all the same is no verdict, but the end", async () => {
  const send: Call["send"] = async (mail) => {
    await mail.send(FIELDS);
    throw new MailchuteError("validation_error", "x", { issues });
  };
  await expect(bench.judge([{ ...GOOD, send }])).rejects.toThrow("What was refused is stored or delivered");
});

test("the reader of octets sees an injected header, a bare line end, eight bits and a long line", async () => {
  const meaning = await meaningOf({ ...FIELDS, headers: { "X-A": "ü" } }, { email: "shop@example.com" });
  const head = [
    "Date: x",
    "From: x",
    "To: x",
    "Subject: Hello",
    "Message-ID: x",
    "X-A: =?UTF-8?Q?=C3=BC?=",
    "MIME-Version: 1.0",
  ];
  const wire = (...lines: readonly string[]) =>
    [...head, "Content-Type: text/plain", ...lines, "", "Hello", ""].join("\r\n");
  const faults = (text: string) => wireFaults(text, meaning).join("; ");
  expect(faults(wire())).toBe("");
  expect(faults(wire("Bcc: evil@corp.example"))).toContain("its header has");
  expect(faults(wire().replace("X-A: ", "X-A:\r\n "))).toBe("");
  expect(faults(wire().replace("=BC?=", "=BD?="))).toContain("a header reads");
  for (const bare of ["\n", "\r", "\0"]) {
    expect(faults(`${wire()}a${bare}b\r\n`)).toContain("a bare CR or LF, or a NUL");
  }
  expect(faults(`${wire()}\xfc\r\n`)).toBe("it is not 7-bit");
  expect(faults(`${wire()}${"x".repeat(998)}\r\n`)).toBe("");
  expect(faults(`${wire()}${"x".repeat(999)}\r\n`)).toContain("998");
  expect(faults(wire().slice(0, -1))).toContain("it does not end with CRLF");
  expect(faults(wire().replace("To: x", "no field"))).toContain("none of a field");
});

test("a path leads to what is there, or to a field that is missing", () => {
  const input = { to: ["a"], headers: [["X.A", "1"]], metadata: { "a\nb": "" }, attachments: [{ x: 1 }], "odd\n": 1 };
  const good = [
    "to",
    "to.0",
    "subject",
    "headers.X.A",
    "metadata.a?b",
    "attachments.0.filename",
    "attachments.0.x",
    "odd?",
  ];
  expect(good.filter((path) => !leadsIntoMail(path, input))).toEqual([]);
  const bad = [
    "",
    "to.1",
    "to.x",
    "cc.0",
    "headers.X",
    "headers.0",
    "metadata.a",
    "attachments.1.filename",
    "attachments.0.y",
    "odd",
  ];
  expect(bad.filter((path) => leadsIntoMail(path, input))).toEqual([]);
});
