import { expect, test } from "bun:test";
import type { Answer, Scripts } from "../scripted_server.ts";
import { CONTENT, envelopeTo, NEVER, outcomesOf, setup, troubleIn } from "./setup.ts";

const BIG = new TextEncoder().encode(`Subject: big\r\n\r\n${`${"x".repeat(76)}\r\n`.repeat(100_000)}`);

const DROPS: readonly (readonly [string, Answer])[] = [["FIN", { close: undefined }], ["RST", { reset: true }]];

for (const offer of [["PIPELINING"], []]) {
  const mode = offer.length > 0 ? "with PIPELINING" : "without PIPELINING";
  for (const [name, drop] of DROPS) {
    test(`${name} instead of the reply to MAIL is trouble of the route, ${mode}`, async () => {
      await using relay = await setup({ offer, on: { mail: () => drop } });
      expect(troubleIn(await relay.send("ann@corp.example"))).toMatchObject({ code: "closed", phase: "mail" });
    });

    for (const kind of ["rcpt", "data"] as const) {
      test(`${name} instead of the reply to ${kind} defers, ${mode}`, async () => {
        await using relay = await setup({ offer, on: { [kind]: () => drop } satisfies Scripts });
        expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual([`deferred ${kind} network none`]);
      });
    }

    test(`${name} after the final dot is uncertain, whether the server has the mail or not, ${mode}`, async () => {
      for (const answer of [drop, { acceptAndClose: true }] as const) {
        await using relay = await setup({
          offer,
          on: { content: () => answer, rcpt: (address) => address.startsWith("bob") ? "550 5.1.1 no" : undefined },
        });
        expect(outcomesOf(await relay.send("ann@corp.example", "bob@corp.example"))).toEqual([
          "uncertain final network none",
          "bounced rcpt recipient 550",
        ]);
      }
    });
  }
}

test("a drop between two replies to RCPT defers both", async () => {
  await using relay = await setup({ on: { rcpt: (_, { count }) => count === 2 ? { close: undefined } : undefined } });
  expect(outcomesOf(await relay.send("ann@corp.example", "bob@corp.example"))).toEqual([
    "deferred rcpt network none",
    "deferred rcpt network none",
  ]);
});

test("250 and FIN in one segment is sent", async () => {
  await using relay = await setup({ on: { content: () => ({ close: "250 2.0.0 taken" }) } });
  expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
});

test("a 250 of which the end is lost is uncertain", async () => {
  await using relay = await setup({
    on: {
      content: () => {
        queueMicrotask(() => relay.server.dropAll());
        return { raw: "250 2.0.0 tak" };
      },
    },
  });
  expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["uncertain final network none"]);
});

test.each(DROPS)("%s while a large content is on its way defers: the final dot was not written", async (_, drop) => {
  await using relay = await setup({ bodyBytes: 100_000, on: { body: () => drop } });
  const delivery = await relay.transport.send(envelopeTo("ann@corp.example"), BIG, NEVER);
  expect(outcomesOf(delivery)).toEqual(["deferred body network none"]);
});

for (
  const [reply, outcome] of [
    ["552 5.3.4 too big", "bounced body message 552"],
    ["451 4.3.1 no room", "deferred body route 451"],
    ["421 4.3.2 closing", "deferred body route 421"],
    ["250 what", "deferred body route 250"],
  ] as const
) {
  test(`${reply} while a large content is on its way is read and used`, async () => {
    let said: (() => void) | undefined;
    const end = new Promise<void>((resolve) => (said = resolve));
    await using relay = await setup({
      bodyBytes: 100_000,
      on: {
        body: async () => {
          relay.server.interject(`${reply}\r\n`);
          await end;
          return { reset: true };
        },
      },
    });
    const delivery = await relay.transport.send(envelopeTo("ann@corp.example"), BIG, NEVER);
    said?.();
    expect(outcomesOf(delivery)).toEqual([outcome]);
    expect(relay.server.mails).toEqual([]);
  });
}

test.each(DROPS)("%s after the final dot of a large mail is uncertain", async (_, drop) => {
  await using relay = await setup({ on: { content: () => drop } });
  const delivery = await relay.transport.send(envelopeTo("ann@corp.example"), BIG, NEVER);
  expect(outcomesOf(delivery)).toEqual(["uncertain final network none"]);
});

test("552 and the end of the connection while a large content is on its way: the 552 counts", async () => {
  await using relay = await setup({ bodyBytes: 100_000, on: { body: () => ({ close: "552 5.3.4 too big" }) } });
  const delivery = await relay.transport.send(envelopeTo("ann@corp.example"), BIG, NEVER);
  expect(outcomesOf(delivery)).toEqual(["bounced body message 552"]);
});

test("a server that closes between mails costs nothing", async () => {
  await using relay = await setup();
  for (let mail = 1; mail <= 3; mail++) {
    expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
    relay.server.dropAll();
    await relay.server.whenEmpty();
  }
  expect(relay.server.transcripts).toHaveLength(3);
  expect(relay.server.mails).toHaveLength(3);
});

test("a small mail is one write with its dot", async () => {
  await using relay = await setup({
    bodyBytes: CONTENT.length + 3,
    on: { body: (bytes) => bytes === CONTENT.length + 3 ? undefined : { close: "554 in pieces" } },
  });
  expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
});
