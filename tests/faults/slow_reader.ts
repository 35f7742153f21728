import { expect } from "bun:test";
import type { StreamedContent } from "../../relay/delivery/transport.ts";
import { createSmtpTransport } from "../../relay/smtp/smtp.ts";
import { envelopeTo, NEVER } from "../smtp/setup.ts";
import { ANN, type RelayFault } from "./fault.ts";
import { streamByNodemailer } from "./nodemailer_alone.ts";
import { outcomesIn } from "./run_fault.ts";

const SIZE_BYTES = 100_000_000;
const CHUNK = new TextEncoder().encode(`${"x".repeat(98)}\r\n`.repeat(500));

/** How much more memory a process may take for a mail that is read in chunks, whatever its size. */
const MOST_GROWTH_BYTES = 40_000_000;

/** What is measured in memory. */
export const SLOW_READER_FAULTS: readonly RelayFault[] = [
  {
    id: "S12",
    name: "a mail of 100 MB to a server that reads slowly",
    then: `sent, with at most ${MOST_GROWTH_BYTES / 1e6} MB of memory more`,
    run: sendToSlowReader,
    nodemailer: () => withSlowReader((port) => streamByNodemailer(port, SIZE_BYTES, CHUNK)),
  },
];

const CONTENT: StreamedContent = {
  sizeBytes: SIZE_BYTES,
  needsSmtpUtf8: false,
  opening: CHUNK,
  async *chunks() {
    for (let bytes = 0; bytes < SIZE_BYTES; bytes += CHUNK.length) yield await Promise.resolve(CHUNK);
  },
};

function sendToSlowReader(): Promise<string> {
  return withSlowReader(async (port) => {
    const transport = createSmtpTransport({ host: "127.0.0.1", port, tls: "none", ehloName: "relay.example" });
    Bun.gc(true);
    const before = process.memoryUsage().rss;
    let peak = before;
    const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 5);
    const delivery = await transport.send(envelopeTo(ANN), CONTENT, NEVER);
    clearInterval(watch);
    await transport.close();
    expect(outcomesIn(delivery)).toBe("sent final 250");
    expect(peak - before).toBeLessThan(MOST_GROWTH_BYTES);
    return `sent, with ${Math.round((peak - before) / 1e6)} MB of memory more`;
  });
}

/** The server is a process of its own: memory measured beside it is the client's. */
async function withSlowReader<T>(work: (port: number) => Promise<T>): Promise<T> {
  const server = Bun.spawn({
    cmd: [process.execPath, new URL("../smtp/slow_reader.ts", import.meta.url).pathname],
    stdout: "pipe",
    stderr: "inherit",
  });
  try {
    const { value } = await server.stdout.getReader().read();
    const { port } = JSON.parse(new TextDecoder().decode(value)) as { port: number };
    return await work(port);
  } finally {
    server.kill();
    await server.exited;
  }
}
