import { Readable } from "node:stream";
import { createTransport } from "nodemailer";
import { startScriptedServer } from "../scripted_server.ts";

/**
 * 20 mails in nodemailer's pool, with one connection, to a server that restarts in the middle.
 * @returns what came out
 */
export async function restartUnderNodemailer(): Promise<string> {
  const { promise: gone, resolve: leave } = Promise.withResolvers<void>();
  const first = await startScriptedServer({
    on: {
      mail: (_, { count }) => {
        if (count < 8) return undefined;
        leave();
        return { hang: true };
      },
    },
  });
  const transport = createTransport({
    pool: true,
    host: "127.0.0.1",
    port: first.port,
    ignoreTLS: true,
    maxConnections: 1,
  });
  const sending = Array.from({ length: 20 }, (_, number) =>
    transport.sendMail({
      envelope: { from: "app@sender.example", to: `u${number}@example.com` },
      raw: "Subject: hello\r\n\r\nHello\r\n",
    }).then(() => "sent", (error: Error) => `error ${"code" in error ? error.code : error.name}`));
  await gone;
  await first.close();
  await using second = await startScriptedServer({ port: first.port });
  const counts = new Map<string, number>();
  for (const outcome of await Promise.all(sending)) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  transport.close();
  const delivered = first.mails.length + second.mails.length;
  return `${[...counts].map(([outcome, count]) => `${count} × ${outcome}`).join(", ")}; ${delivered} delivered`;
}

/** A stream of so many bytes to this port by nodemailer. @returns what came out, and how much memory it took */
export async function streamByNodemailer(port: number, sizeBytes: number, chunk: Uint8Array): Promise<string> {
  function* chunks(): Generator<Uint8Array> {
    for (let bytes = 0; bytes < sizeBytes; bytes += chunk.length) yield chunk;
  }
  const transport = createTransport({ pool: true, host: "127.0.0.1", port, ignoreTLS: true, maxConnections: 1 });
  Bun.gc(true);
  const before = process.memoryUsage().rss;
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 5);
  const outcome = await transport.sendMail({
    envelope: { from: "app@sender.example", to: "ann@corp.example" },
    raw: Readable.from(chunks(), { objectMode: false }),
  }).then(() => "sent", (error: Error) => `error ${"code" in error ? error.code : error.name}`);
  clearInterval(watch);
  transport.close();
  return `${outcome}, with ${Math.round((peak - before) / 1e6)} MB of memory more`;
}
