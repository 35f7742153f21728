import { expect, test } from "bun:test";
import { outcomesOf, setup, troubleIn } from "./setup.ts";

test.each([
  ["421 4.3.2 too many connections", "shutting_down"],
  ["450 4.3.2 later", "greeting_refused"],
  ["554 5.7.1 not you", "greeting_refused"],
  ["354 what", "protocol"],
])("the greeting %p is the trouble %s", async (greeting, code) => {
  await using relay = await setup({ on: { connect: () => ({ close: greeting }) } });
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({
    code,
    phase: "greeting",
    reply: { code: Number(greeting.slice(0, 3)) },
  });
  expect(relay.server.transcripts[0]?.client).toBe("");
});

test("a greeting of several lines is read", async () => {
  await using relay = await setup({ on: { connect: () => "220-one\r\n220 two" } });
  expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
});

test.each([
  ["HTTP/1.1 400 Bad Request\r\n"],
  ["\u0016\u0003\u0001\u0002\u0000\n"],
  ["220-one\r\n550 two\r\n"],
])("the greeting %p is a protocol error", async (raw) => {
  await using relay = await setup({ on: { connect: () => ({ raw }) } });
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "protocol", phase: "greeting" });
});

test.each([["500 what"], ["502 5.5.1 what"], ["504 5.5.4 what"]])("%p to EHLO makes us say HELO", async (answer) => {
  await using relay = await setup({ on: { ehlo: () => answer } });
  expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
  expect(relay.server.transcripts[0]?.client).toStartWith(
    "EHLO relay.example\r\nHELO relay.example\r\nMAIL FROM:<app@sender.example>\r\nRCPT TO:<ann@corp.example>\r\nDATA\r\n",
  );
});

test("there is no way back to HELO when TLS or AUTH is needed", async () => {
  const auth = { user: "ann", password: "s3cret" };
  for (const options of [{ tls: "required" }, { auth, allowPlaintextAuth: true }] as const) {
    await using relay = await setup({ on: { ehlo: () => "502 what" } }, options);
    expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "greeting_refused", phase: "ehlo" });
    expect(relay.server.transcripts[0]?.client).toBe("EHLO relay.example\r\n");
  }
});

test.each([
  ["421 closing", "shutting_down"],
  ["450 later", "greeting_refused"],
  ["550 5.7.1 bad name", "greeting_refused"],
  ["354 what", "protocol"],
])("%p to EHLO is the trouble %s", async (answer, code) => {
  await using relay = await setup({ on: { ehlo: () => answer } });
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code, phase: "ehlo" });
});

test("HELO that is refused too is greeting_refused", async () => {
  await using relay = await setup({ on: { ehlo: () => "502 what", helo: () => "502 what" } });
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "greeting_refused", phase: "ehlo" });
});

test("a server that cuts every reply byte by byte is understood", async () => {
  await using relay = await setup({ splitBytes: 1 });
  expect(outcomesOf(await relay.send("ann@corp.example", "bob@corp.example"))).toEqual([
    "sent final 250",
    "sent final 250",
  ]);
});

test("nothing listens: connect_refused", async () => {
  await using relay = await setup();
  await relay.server.close();
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "connect_refused", phase: "connect" });
});

test("an unknown host name is the trouble dns", async () => {
  await using relay = await setup({}, { host: "nowhere.invalid" });
  expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "dns", phase: "connect" });
});

test.each(
  [
    ["connect", "greeting"],
    ["ehlo", "ehlo"],
  ] as const,
)("a connection that closes at %s is the trouble closed in its phase", async (kind, phase) => {
  for (const answer of [{ close: undefined }, { reset: true }] as const) {
    await using relay = await setup({ on: { [kind]: () => answer } });
    expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "closed", phase });
  }
});
