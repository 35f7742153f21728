import { expect, test } from "bun:test";
import type { Scripts } from "../scripted_server.ts";
import { CONTENT, envelopeTo, NEVER, outcomesOf, type Setup, setup, troubleIn } from "./setup.ts";

const OPENING = "EHLO relay.example\r\n";
const MAIL = "MAIL FROM:<app@sender.example>\r\n";
const ANN = "RCPT TO:<ann@corp.example>\r\n";
const BOB = "RCPT TO:<bob@corp.example>\r\n";
const BODY = "Subject: hello\r\n\r\nHello\r\n.\r\n";

/** Runs a test against a server with PIPELINING and one without: the outcomes must be the same. */
function inBothModes(name: string, on: Scripts, check: (relay: Setup, isPipelined: boolean) => Promise<void>): void {
  for (const isPipelined of [true, false]) {
    test(`${name}, ${isPipelined ? "with" : "without"} PIPELINING`, async () => {
      await using relay = await setup({ on, offer: isPipelined ? ["PIPELINING"] : [] });
      await check(relay, isPipelined);
    });
  }
}

inBothModes("a mail goes out byte for byte", {}, async (relay) => {
  expect(outcomesOf(await relay.send("ann@corp.example", "bob@corp.example"))).toEqual([
    "sent final 250",
    "sent final 250",
  ]);
  expect(relay.server.transcripts[0]?.client).toBe(`${OPENING}${MAIL}${ANN}${BOB}DATA\r\n${BODY}`);
  expect(relay.server.mails).toMatchObject([{
    reversePath: "app@sender.example",
    recipients: ["ann@corp.example", "bob@corp.example"],
    content: new TextDecoder().decode(CONTENT),
  }]);
});

test("with PIPELINING the envelope is one write", async () => {
  await using relay = await setup({
    on: {
      // Nothing is answered before all of it has come: a client that waited for MAIL's reply would wait for ever.
      mail: async () => {
        await relay.server.whenSaid("DATA\r\n");
        return undefined;
      },
    },
  });
  expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
});

test("SIZE is declared when it is offered", async () => {
  await using relay = await setup({ offer: ["SIZE 100000", "PIPELINING"] });
  await relay.send("ann@corp.example");
  expect(relay.server.mails).toMatchObject([{ parameters: `SIZE=${CONTENT.length}` }]);
});

test("the null return path is <>", async () => {
  await using relay = await setup();
  await relay.transport.send({ ...envelopeTo("ann@corp.example"), reversePath: "" }, CONTENT, NEVER);
  expect(relay.server.mails).toMatchObject([{ reversePath: "" }]);
});

test("dots at the start of lines arrive as they were", async () => {
  await using relay = await setup();
  const content = ".\r\n..\r\n.hidden\r\nEnd.\r\n";
  await relay.transport.send(envelopeTo("ann@corp.example"), new TextEncoder().encode(content), NEVER);
  expect(relay.server.mails).toMatchObject([{ content }]);
});

for (
  const [reply, outcome] of [
    ["450 4.1.8 later", "deferred mail sender 450"],
    ["550 5.1.8 never", "bounced mail sender 550"],
    ["552 5.3.4 too big", "bounced mail message 552"],
    ["523 5.3.4 too big", "bounced mail message 523"],
    ["454 4.1.0 later", "deferred mail sender 454"],
  ] as const
) {
  inBothModes(
    `${reply} to MAIL`,
    { mail: (_, { count }) => count === 1 ? reply : undefined },
    async (relay, isPipelined) => {
      expect(outcomesOf(await relay.send("ann@corp.example", "bob@corp.example"))).toEqual([outcome, outcome]);
      expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
      const first = isPipelined ? `${MAIL}${ANN}${BOB}DATA\r\n` : MAIL;
      expect(relay.server.transcripts.map(({ client }) => client)).toEqual([
        `${OPENING}${first}RSET\r\n${MAIL}${ANN}DATA\r\n${BODY}`,
      ]);
    },
  );
}

for (
  const [reply, code] of [
    ["421 4.3.2 closing", "shutting_down"],
    // OpenSMTPD, to the 101st mail of a connection.
    ["452 4.5.3 Too many recipients: Too many messages sent", "shutting_down"],
    ["503 5.5.1 what", "protocol"],
    ["530 5.7.0 AUTH first", "auth_required"],
    ["535 5.7.8 who", "auth_rejected"],
    ["538 5.7.11 encrypt", "auth_required"],
    ["454 4.7.0 later", "auth_unavailable"],
    ["354 what", "protocol"],
  ] as const
) {
  inBothModes(`${reply} to MAIL is trouble of the route`, { mail: () => reply }, async (relay) => {
    const trouble = troubleIn(await relay.send("ann@corp.example"));
    expect(trouble).toMatchObject({ code, phase: "mail", reply: { code: Number(reply.slice(0, 3)) } });
  });
}

for (
  const [reply, outcome] of [
    ["450 4.2.1 later", "deferred rcpt recipient 450"],
    ["550 5.1.1 never", "bounced rcpt recipient 550"],
    ["552 5.2.2 full", "deferred rcpt recipient 552"],
    ["452 4.2.2 full", "deferred rcpt recipient 452"],
    // Too many beside others, and then refused alone: what is said then counts.
    ["452 4.5.3 too many", "deferred rcpt recipient 452"],
    ["550 5.5.3 too many", "bounced rcpt recipient 550"],
    ["452 too many", "deferred rcpt recipient 452"],
    ["552 too many", "deferred rcpt recipient 552"],
    ["530 5.7.1 AUTH to send there", "deferred rcpt route 530"],
    ["454 4.7.0 later", "deferred rcpt route 454"],
    ["454 4.7.1 relay denied for now", "deferred rcpt recipient 454"],
    ["251 forwarded", "sent final 250"],
    ["252 perhaps", "sent final 250"],
  ] as const
) {
  inBothModes(`${reply} to one RCPT is about that recipient`, {
    rcpt: (address) => address.startsWith("bob") ? reply : undefined,
  }, async (relay) => {
    const delivery = await relay.send("ann@corp.example", "bob@corp.example", "cid@corp.example");
    expect(outcomesOf(delivery)).toEqual(["sent final 250", outcome, "sent final 250"]);
  });
}

test("too many recipients before anybody was accepted is no such thing", async () => {
  await using relay = await setup({ on: { rcpt: () => "550 5.5.3 too many" } });
  expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["bounced rcpt recipient 550"]);
});

for (const reply of ["450 4.2.1 later", "550 5.1.1 never"]) {
  inBothModes(`${reply} to all RCPT ends without content`, {
    rcpt: (_, { count }) => count <= 2 ? reply : undefined,
  }, async (relay, isPipelined) => {
    const kind = reply.startsWith("4") ? "deferred" : "bounced";
    const outcome = `${kind} rcpt recipient ${reply.slice(0, 3)}`;
    expect(outcomesOf(await relay.send("ann@corp.example", "bob@corp.example"))).toEqual([outcome, outcome]);
    expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
    const data = isPipelined ? "DATA\r\n" : "";
    expect(relay.server.transcripts[0]?.client).toBe(
      `${OPENING}${MAIL}${ANN}${BOB}${data}RSET\r\n${MAIL}${ANN}DATA\r\n${BODY}`,
    );
  });
}

test("354 with no accepted recipient is answered by a lone dot", async () => {
  await using relay = await setup({
    on: { rcpt: (_, { count }) => count === 1 ? "550 5.1.1 no" : undefined, data: () => "354 go on" },
  });
  expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["bounced rcpt recipient 550"]);
  expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
  expect(relay.server.transcripts.map(({ client }) => client)).toEqual([
    `${OPENING}${MAIL}${ANN}DATA\r\n.\r\nRSET\r\n${MAIL}${ANN}DATA\r\n${BODY}`,
  ]);
  expect(relay.server.mails).toHaveLength(1);
});

for (
  const [reply, outcome, isKept] of [
    ["451 4.3.0 later", "deferred data route 451", true],
    ["554 5.6.0 never", "bounced data message 554", true],
    ["530 5.7.0 AUTH", "deferred data route 530", true],
    ["535 5.7.8 AUTH", "deferred data route 535", true],
    ["454 4.7.0 later", "deferred data route 454", true],
    ["421 4.3.2 closing", "deferred data route 421", false],
    ["503 5.5.1 what", "deferred data route 503", false],
    ["250 what", "deferred data route 250", false],
  ] as const
) {
  inBothModes(`${reply} to DATA`, {
    data: (_, { count, connection }) => count + connection === 2 ? reply : undefined,
    rcpt: (address) => address.startsWith("bob") ? "550 5.1.1 no" : undefined,
  }, async (relay) => {
    const delivery = await relay.send("ann@corp.example", "bob@corp.example");
    expect(outcomesOf(delivery)).toEqual([outcome, "bounced rcpt recipient 550"]);
    expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
    expect(relay.server.transcripts).toHaveLength(isKept ? 1 : 2);
  });
}

for (
  const [reply, outcome, isKept] of [
    ["451 4.7.1 greylisted", "deferred final route 451", true],
    ["552 5.3.4 too big", "bounced final message 552", true],
    ["554 5.7.1 spam", "bounced final message 554", true],
    ["530 5.7.0 AUTH", "deferred final route 530", true],
    ["454 4.7.0 later", "deferred final route 454", true],
    ["421 4.3.2 closing", "deferred final route 421", false],
    ["503 5.5.1 what", "deferred final route 503", false],
    ["354 what", "uncertain final route 354", false],
  ] as const
) {
  inBothModes(`${reply} to the final dot`, {
    content: (_, { count, connection }) => count + connection === 2 ? reply : undefined,
  }, async (relay) => {
    const delivery = await relay.send("ann@corp.example", "bob@corp.example");
    expect(outcomesOf(delivery)).toEqual([outcome, outcome]);
    expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
    expect(relay.server.transcripts).toHaveLength(isKept ? 1 : 2);
    if (isKept) expect(relay.server.transcripts[0]?.client).toContain("\r\n.\r\nRSET\r\nMAIL");
  });
}

inBothModes("421 to a RCPT keeps what was said to the others", {
  rcpt: (address) =>
    address.startsWith("bob") ? { close: "421 4.3.2 closing" } : address.startsWith("ann") ? "550 5.1.1 no" : undefined,
}, async (relay) => {
  const delivery = await relay.send("ann@corp.example", "bob@corp.example", "cid@corp.example");
  expect(outcomesOf(delivery)).toEqual([
    "bounced rcpt recipient 550",
    "deferred rcpt route 421",
    "deferred rcpt route 421",
  ]);
});

test("RSET that is refused costs the connection and not the mail", async () => {
  await using relay = await setup({
    on: {
      mail: (_, { connection, count }) => connection === 1 && count === 1 ? "550 5.1.8 no" : undefined,
      rset: () => "500 what",
    },
  });
  await relay.send("ann@corp.example");
  expect(outcomesOf(await relay.send("ann@corp.example"))).toEqual(["sent final 250"]);
  expect(relay.server.transcripts).toHaveLength(2);
});

test("an address that needs SMTPUTF8 bounces alone where it is not offered, and goes out where it is", async () => {
  await using without = await setup();
  expect(outcomesOf(await without.send("jörg@corp.example", "ann@corp.example"))).toEqual([
    "bounced rcpt recipient none",
    "sent final 250",
  ]);
  expect(without.server.mails).toMatchObject([{ recipients: ["ann@corp.example"] }]);
  expect(outcomesOf(await without.send("jörg@corp.example"))).toEqual(["bounced rcpt recipient none"]);
  await using choosy = await setup({
    on: { rcpt: (address) => address.startsWith("bob") ? "450 4.2.1 later" : undefined },
  });
  expect(outcomesOf(await choosy.send("jörg@corp.example", "bob@corp.example", "ann@corp.example"))).toEqual([
    "bounced rcpt recipient none",
    "deferred rcpt recipient 450",
    "sent final 250",
  ]);
  await using offered = await setup({ offer: ["SMTPUTF8", "PIPELINING"] });
  expect(outcomesOf(await offered.send("jörg@corp.example"))).toEqual(["sent final 250"]);
  expect(offered.server.mails).toMatchObject([{ parameters: "SMTPUTF8" }]);
});

test("a reason for people names no address, and the reply keeps what was said", async () => {
  await using relay = await setup({ on: { rcpt: (address) => `550 5.1.1 <${address}>: ${address} is unknown` } });
  const delivery = await relay.send("ann@corp.example");
  expect(delivery).toMatchObject({
    outcomes: [{
      reason: "<address>: <address> is unknown",
      reply: { text: "<ann@corp.example>: ann@corp.example is unknown" },
    }],
  });
});

test("350 recipients go out in groups of at most 4 KiB that wait for their replies", async () => {
  const addresses = Array.from({ length: 350 }, (_, index) => `somebody-number-${index}@corp.example`);
  let longest = 0;
  let answered = 0;
  await using relay = await setup({
    on: {
      rcpt: (address) => {
        const said = relay.server.transcripts[0]?.client ?? "";
        longest = Math.max(longest, said.length - answered);
        answered += `RCPT TO:<${address}>\r\n`.length;
        return undefined;
      },
    },
  }, { recipientsPerTransaction: 350 });
  const delivery = await relay.send(...addresses);
  expect(outcomesOf(delivery).filter((outcome) => outcome === "sent final 250")).toHaveLength(350);
  // What was said before the first RCPT counts into `longest` once.
  expect(longest).toBeLessThanOrEqual(4096 + OPENING.length + MAIL.length);
  expect(longest).toBeGreaterThan(3000);
  expect(relay.server.mails[0]?.recipients).toEqual(addresses);
});
