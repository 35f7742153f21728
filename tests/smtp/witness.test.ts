import { expect, test } from "bun:test";
import type { Outcome, Witness } from "../../relay/delivery/transport.ts";
import { CONTENT, envelopeTo, NEVER, outcomesOf, setup } from "./setup.ts";

/** A witness that writes down what it is told, and when: beside it, what the server had got of the content. */
function witness(heard: () => string, onCommit: () => void = () => undefined) {
  const log: string[] = [];
  const told: Witness = {
    committing(positions) {
      onCommit();
      log.push(`committing ${positions.join()} after ${heard().split("\r\n").at(-2)}`);
    },
    concluded: (outcomes: readonly Outcome[]) => log.push(`concluded ${outcomes.map(({ kind }) => kind).join()}`),
  };
  return { log, told };
}

const LARGE = new TextEncoder().encode(`Subject: large\r\n\r\n${`${"x".repeat(98)}\r\n`.repeat(1_000)}`);

for (
  const [name, content, offer, last] of [
    ["a small mail by DATA", CONTENT, ["PIPELINING"], /^committing 0,2 after DATA$/],
    ["a large mail by DATA", LARGE, ["PIPELINING"], /^committing 0,2 after (DATA|x*)$/],
    ["a large mail by BDAT", LARGE, ["PIPELINING", "CHUNKING"], /^committing 0,2 after x+$/],
  ] as const
) {
  test(`${name}: the witness is told before the server has its end, and of what came of it`, async () => {
    await using relay = await setup({ offer, on: { rcpt: (to) => to.startsWith("bob") ? "550 5.1.1 no" : undefined } });
    const { log, told } = witness(() => relay.server.transcripts[0]?.client ?? "");
    const envelope = envelopeTo("ann@corp.example", "bob@corp.example", "cid@corp.example");
    const delivery = await relay.transport.send(envelope, content, NEVER, told);
    expect(outcomesOf(delivery)).toEqual(["sent final 250", "bounced rcpt recipient 550", "sent final 250"]);
    // The last line that the server had when the accepted ones, 0 and 2, were about to be committed: never the final
    // dot.
    expect(log).toEqual([expect.stringMatching(last), "concluded sent,bounced,sent"]);
  });

  test(`${name}: a witness that cannot note it stops it, and the server takes nothing`, async () => {
    await using relay = await setup({ offer });
    const { told } = witness(() => "", () => {
      throw new Error("the disk is full");
    });
    const sending = relay.transport.send(envelopeTo("ann@corp.example"), content, NEVER, told);
    expect(sending).rejects.toThrow("the disk is full");
    await relay.server.whenEmpty();
    expect(relay.server.mails).toEqual([]);
    expect(relay.server.transcripts[0]?.client).not.toMatch(/\r\n\.\r\n|LAST/);
  });
}

test("a mail in several transactions is told of part by part", async () => {
  await using relay = await setup({}, { recipientsPerTransaction: 2 });
  const { log, told } = witness(() => "DATA\r\n");
  await relay.transport.send(envelopeTo("a@x.example", "b@x.example", "c@x.example"), CONTENT, NEVER, told);
  expect(log.map((line) => line.split(" after")[0])).toEqual([
    "committing 0,1",
    "concluded sent,sent",
    "committing 2",
    "concluded sent",
  ]);
});

test("nothing is committed of a mail that nobody takes", async () => {
  await using relay = await setup({ on: { rcpt: () => "550 5.1.1 no" } });
  const { log, told } = witness(() => "");
  await relay.transport.send(envelopeTo("ann@corp.example"), CONTENT, NEVER, told);
  expect(log).toEqual(["concluded bounced"]);
});
