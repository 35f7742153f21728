import { expect, test } from "bun:test";
import { Readable } from "node:stream";
import { LIMITS } from "../../mod.ts";
import { rejects } from "./cases.ts";
import { FILE, MESSAGE, offline, refused, requestOf } from "./offline.ts";

const CHUNK = new Uint8Array(1_000_000).fill(7);

/** A stream of so many chunks, which says how many it has given and whether somebody had enough. */
function chunks(count: number): { readonly stream: ReadableStream<Uint8Array>; given: number; isCanceled: boolean } {
  const source = { given: 0, isCanceled: false };
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (source.given === count) return controller.close();
      source.given++;
      controller.enqueue(CHUNK);
    },
    cancel() {
      source.isCanceled = true;
    },
  });
  return Object.assign(source, { stream });
}

test("an attachment's stream is read when the mail is sent, chunk by chunk", async () => {
  const bytes = new TextEncoder().encode("grüß");
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  const { attachments } = await requestOf({
    attachments: [{ filename: "a.txt", content: stream, contentType: "text/plain" }, {
      filename: "empty",
      content: new Blob([]).stream(),
    }, { filename: "node", content: Readable.toWeb(Readable.from([Buffer.from("grüß")])) }],
  }) as { readonly attachments: readonly { readonly base64: string; readonly contentType: string }[] };
  expect(attachments.map(({ base64 }) => base64)).toEqual(["Z3LDvMOf", "", "Z3LDvMOf"]);
  expect(attachments[0]?.contentType).toBe("text/plain");
});

test("streams that are more than a mail may have are read no further, and told that nobody wants the rest", async () => {
  const endless = chunks(Infinity);
  const large = { ...MESSAGE, attachments: [{ filename: "a", content: endless.stream }] };
  await rejects(offline.send(large), "too_large", "attachments");
  expect(endless.given).toBeLessThan(30);
  expect(endless.isCanceled).toBe(true);
  const [one, other] = [chunks(20), chunks(20)];
  const two = [{ filename: "a", content: one.stream }, { filename: "b", content: other.stream }];
  await rejects(offline.send({ ...MESSAGE, attachments: two }), "too_large", "attachments");
  expect(other.given).toBeLessThan(10);
  // Exactly at the limit.
  const most = chunks(LIMITS.attachmentsBytes / CHUNK.length);
  const { attachments } = await requestOf({ attachments: [{ filename: "a", content: most.stream }] });
  expect(String((attachments as { base64: string }[])[0]?.base64).length).toBe(Math.ceil(25_000_000 / 3) * 4);
});

test("a stream that fails is the cause, one that was read before and one of something else are named", async () => {
  const failure = new Error("connection lost");
  const failing = new ReadableStream({ pull: () => Promise.reject(failure) });
  const error = await rejects(
    offline.send({ ...MESSAGE, attachments: [{ filename: "a", content: failing }] }),
    "validation_error",
    "attachments.0.content",
  );
  expect(error.cause).toBe(failure);
  const used = new Blob(["x"]).stream();
  await used.getReader().read();
  await rejects(offline.send({ ...MESSAGE, attachments: [{ filename: "a", content: used }] }), "validation_error");
  const texts = new ReadableStream({ start: (controller) => (controller.enqueue("text"), controller.close()) });
  expect(await refused({ attachments: [FILE, { filename: "a", content: texts }] }, "attachments.1.content")).toContain(
    "a ReadableStream of bytes",
  );
  expect(await refused({ attachments: [{ filename: "a", content: Readable.from(["x"]) }] }, "attachments.0.content"))
    .toContain("ReadableStream");
});
