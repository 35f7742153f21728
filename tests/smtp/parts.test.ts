import { expect, test } from "bun:test";
import { envelopeTo, NEVER, outcomesOf, setup } from "./setup.ts";

const MANY = Array.from({ length: 7 }, (_, index) => `u${index}@corp.example`);
const SENT = MANY.map(() => "sent final 250");

/** A server that takes three recipients in one mail, and says so in its own way. */
function threeAtMost(reply: string) {
  let count = 0;
  return {
    mail: () => void (count = 0),
    rcpt: () => ++count > 3 ? reply : undefined,
  };
}

for (const reply of ["452 4.5.3 too many recipients", "552 5.5.3 too many", "452 too many", "552 too many"]) {
  for (const offer of [["PIPELINING"], []]) {
    test(`${reply}: the others go in the next transactions, ${offer[0] ?? "one command at a time"}`, async () => {
      await using relay = await setup({ offer, on: threeAtMost(reply) });
      expect(outcomesOf(await relay.send(...MANY))).toEqual(SENT);
      expect(relay.server.mails.map(({ recipients }) => recipients)).toEqual([
        MANY.slice(0, 3),
        MANY.slice(3, 6),
        MANY.slice(6),
      ]);
      expect(relay.server.transcripts).toHaveLength(1);
    });
  }
}

test("a full mailbox is no matter of too many: that recipient alone is deferred", async () => {
  await using relay = await setup({ on: threeAtMost("452 4.2.2 mailbox full") });
  const full = "deferred rcpt recipient 452";
  expect(outcomesOf(await relay.send(...MANY))).toEqual([...SENT.slice(0, 3), full, full, full, full]);
  expect(relay.server.mails).toHaveLength(1);
});

test("a refused recipient is refused once, and those left out are not asked for him again", async () => {
  const on = threeAtMost("452 4.5.3 too many");
  await using relay = await setup({
    on: { ...on, rcpt: (address) => address === "u1@corp.example" ? "550 5.1.1 unknown" : on.rcpt() },
  });
  expect(outcomesOf(await relay.send(...MANY))).toEqual([
    "sent final 250",
    "bounced rcpt recipient 550",
    ...SENT.slice(0, 5),
  ]);
});

test("the connection dies between two parts: the first are sent, the others deferred", async () => {
  const on = threeAtMost("452 4.5.3 too many");
  await using relay = await setup({
    on: { ...on, mail: (_, { count, connection }) => count + connection > 2 ? { close: undefined } : on.mail() },
  });
  const outcomes = outcomesOf(await relay.send(...MANY));
  expect(outcomes).toEqual([...SENT.slice(0, 3), ...MANY.slice(3).map(() => "deferred rcpt route 452")]);
  expect(relay.server.mails).toHaveLength(1);
});

test("a server that goes away between two parts of our own making has sent the first of them, and these are not sent again", async () => {
  await using relay = await setup({
    on: { mail: (_, { count, connection }) => count + connection > 2 ? { close: undefined } : undefined },
  }, { recipientsPerTransaction: 3 });
  const outcomes = outcomesOf(await relay.send(...MANY));
  expect(outcomes).toEqual([...SENT.slice(0, 3), ...MANY.slice(3).map(() => "deferred mail route none")]);
  expect(relay.server.mails).toHaveLength(1);
});

test("a mail to more recipients than one transaction may have goes out in several", async () => {
  await using relay = await setup({}, { recipientsPerTransaction: 3 });
  expect(outcomesOf(await relay.send(...MANY))).toEqual(SENT);
  expect(relay.server.mails.map(({ recipients }) => recipients.length)).toEqual([3, 3, 1]);
});

test("of a mail in several transactions the outcomes keep the positions of its recipients", async () => {
  await using relay = await setup({ on: { rcpt: (address) => address.startsWith("u4") ? "550 no" : undefined } }, {
    recipientsPerTransaction: 2,
  });
  const delivery = await relay.transport.send(envelopeTo(...MANY), new Uint8Array([65, 13, 10]), NEVER);
  expect(delivery.kind === "attempted" && delivery.outcomes.map(({ position, kind }) => `${position} ${kind}`)).toEqual(
    [
      "0 sent",
      "1 sent",
      "2 sent",
      "3 sent",
      "4 bounced",
      "5 sent",
      "6 sent",
    ],
  );
});

for (
  const [what, script, options] of [
    ["that is sent in several transactions by our limit", {}, { recipientsPerTransaction: 3 }],
    ["that a server takes in several", { on: threeAtMost("452 4.5.3 too many recipients") }, {}],
  ] as const
) {
  test(`a mail ${what} is called back before the first of them, and goes on to its end after it`, async () => {
    const recall = new AbortController();
    const recalling = { ...script, on: { ...("on" in script ? script.on : {}), content: () => void recall.abort() } };
    await using relay = await setup(recalling, options);
    const mail = [envelopeTo(...MANY), new Uint8Array([65, 13, 10])] as const;
    expect(outcomesOf(await relay.transport.send(...mail, recall.signal))).toEqual(SENT);
    expect(relay.server.mails).toHaveLength(3);
    expect(await relay.transport.send(...mail, recall.signal)).toMatchObject({ trouble: { code: "aborted" } });
    expect(relay.server.mails).toHaveLength(3);
  });
}
