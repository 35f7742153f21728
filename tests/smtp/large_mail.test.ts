import { expect, test } from "bun:test";
import { CONTENT, envelopeTo, NEVER, outcomesOf, setup } from "./setup.ts";

const LINE = `${"x".repeat(76)}\r\n`;
const ENVELOPE = envelopeTo("ann@corp.example");

test("the final dot of a large mail is written only when the content has gone, of a small one with it", async () => {
  for (const lines of [10, 2_000]) {
    await using relay = await setup();
    await relay.transport.send(ENVELOPE, new TextEncoder().encode(LINE.repeat(lines)), NEVER);
    expect(relay.server.mails[0]?.content.length).toBe(LINE.length * lines);
  }
});

test("contents around the limit of one write arrive whole", async () => {
  for (const bytes of [65_534, 65_535, 65_536, 65_537, 65_538, 131_072, 131_073]) {
    await using relay = await setup();
    const content = `${"x".repeat(bytes - 2)}\r\n`;
    expect(outcomesOf(await relay.transport.send(ENVELOPE, new TextEncoder().encode(content), NEVER))).toEqual([
      "sent final 250",
    ]);
    expect(relay.server.mails[0]?.content).toBe(content);
  }
});

test("a small mail behind a large one uses the same connection", async () => {
  await using relay = await setup();
  await relay.transport.send(ENVELOPE, new TextEncoder().encode(LINE.repeat(5_000)), NEVER);
  await relay.transport.send(ENVELOPE, CONTENT, NEVER);
  expect(relay.server.transcripts).toHaveLength(1);
  expect(relay.server.mails).toHaveLength(2);
});

test.each(["none", "implicit"] as const)("20 MB to a slow reader cost no copy per write, tls %s", async (tls) => {
  const content = new TextEncoder().encode(LINE.repeat(20_000_000 / LINE.length));
  const server = Bun.spawn({
    cmd: [process.execPath, new URL("./slow_reader.ts", import.meta.url).pathname, tls],
    stdout: "pipe",
    stderr: "inherit",
  });
  try {
    const { value } = await server.stdout.getReader().read();
    const { port, ca } = JSON.parse(new TextDecoder().decode(value)) as { port: number; ca: string };
    const { createSmtpTransport } = await import("../../relay/smtp/smtp.ts");
    const transport = createSmtpTransport({ host: "127.0.0.1", port, tls, ca, ehloName: "relay.example" });
    Bun.gc(true);
    const before = process.memoryUsage().rss;
    let peak = before;
    const sending = transport.send(ENVELOPE, content, NEVER);
    const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 5);
    const delivery = await sending;
    clearInterval(watch);
    expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
    // One copy for dot-stuffing at most, and what the runtime needs to move: not one per slice that waits.
    expect((peak - before) / 1e6).toBeLessThan(60);
    await transport.close();
  } finally {
    server.kill();
    await server.exited;
  }
}, 60_000);
