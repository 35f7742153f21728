import { expect, test } from "bun:test";
import { createSmtpTransport, type SmtpOptions } from "../../relay/smtp/smtp.ts";
import { CONTENT, envelopeTo, ManualTimers, outcomesOf, setup, troubleIn } from "./setup.ts";

/** A gate for a script: everything waits until it is opened. */
function gate(): { readonly opened: Promise<undefined>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  return { opened: promise, open: () => resolve(undefined) };
}

test("mails in a row share one connection, without RSET between them", async () => {
  await using relay = await setup();
  for (let mail = 0; mail < 5; mail++) await relay.send("ann@corp.example");
  expect(relay.server.transcripts).toHaveLength(1);
  expect(relay.server.transcripts[0]?.client).not.toContain("RSET");
});

test("mails at the same time use up to `connections` connections and no more", async () => {
  const { opened, open } = gate();
  await using relay = await setup({ on: { content: () => opened } }, { connections: 3 });
  const sending = Array.from({ length: 10 }, () => relay.send("ann@corp.example"));
  await relay.server.whenConnections(3);
  open();
  for (const delivery of await Promise.all(sending)) expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
  expect(relay.server.transcripts).toHaveLength(3);
});

test("mails that wait go first come, first served", async () => {
  await using relay = await setup();
  const names = Array.from({ length: 200 }, (_, index) => `n${index}@corp.example`);
  await Promise.all(names.map((name) => relay.send(name)));
  expect(relay.server.mails.map(({ recipients }) => recipients[0])).toEqual(names);
});

test("a connection is replaced after exactly maxMailsPerConnection mails", async () => {
  await using relay = await setup({}, { maxMailsPerConnection: 3 });
  for (let mail = 0; mail < 7; mail++) await relay.send("ann@corp.example");
  const counts = relay.server.transcripts.map(({ client }) => client.split("MAIL FROM").length - 1);
  expect(counts).toEqual([3, 3, 1]);
  expect(relay.server.transcripts[0]?.client).toEndWith("QUIT\r\n");
});

test("a connection is replaced at exactly maxConnectionAgeMs", async () => {
  const timers = new ManualTimers();
  await using relay = await setup({}, {
    rim: { timers },
    maxConnectionAgeMs: 10_000,
    timeouts: { idleMs: 60_000 },
  });
  await relay.send("ann@corp.example");
  timers.advance(9_999);
  await relay.send("ann@corp.example");
  expect(relay.server.transcripts).toHaveLength(1);
  timers.advance(1);
  await relay.send("ann@corp.example");
  expect(relay.server.transcripts).toHaveLength(2);
});

test.each(
  [
    ["FIN", { close: undefined }],
    ["RST", { reset: true }],
    ["421", { close: "421 4.4.2 idle for too long" }],
  ] as const,
)("%s to the MAIL of a reused connection sends the mail on a fresh one", async (_, answer) => {
  await using relay = await setup({ on: { mail: (_, { count }) => count === 2 ? answer : undefined } });
  await relay.send("ann@corp.example");
  expect(outcomesOf(await relay.send("bob@corp.example"))).toEqual(["sent final 250"]);
  expect(relay.server.transcripts).toHaveLength(2);
  expect(relay.server.mails).toHaveLength(2);
});

test("a mail is tried once more only: a fresh connection that fails too is trouble", async () => {
  await using relay = await setup({
    on: { mail: (_, { connection }) => connection > 1 ? { close: undefined } : undefined, content: () => undefined },
  });
  await relay.send("ann@corp.example");
  relay.server.dropAll();
  expect(troubleIn(await relay.send("bob@corp.example"))).toMatchObject({ code: "closed", phase: "mail" });
  expect(troubleIn(await relay.send("cid@corp.example"))).toMatchObject({ code: "closed", phase: "mail" });
  expect(relay.server.transcripts.length).toBeLessThanOrEqual(4);
});

test("MAIL that is refused on a reused connection is not tried again", async () => {
  await using relay = await setup({ on: { mail: (_, { count }) => count === 2 ? "530 5.7.0 AUTH" : undefined } });
  await relay.send("ann@corp.example");
  expect(troubleIn(await relay.send("bob@corp.example"))).toMatchObject({ code: "auth_required" });
  expect(relay.server.transcripts).toHaveLength(1);
});

test("a server that takes fewer connections gets the mails over these", async () => {
  await using relay = await setup(
    {
      on: { connect: (_, { connection }) => connection > 2 ? { close: "421 4.7.0 too many connections" } : undefined },
    },
    { connections: 4 },
  );
  const deliveries = await Promise.all(Array.from({ length: 50 }, () => relay.send("ann@corp.example")));
  for (const delivery of deliveries) expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
});

test("when no connection can be made, every waiting mail hears so at once", async () => {
  await using relay = await setup({ on: { connect: () => ({ close: "554 no" }) } }, { connections: 3 });
  const deliveries = await Promise.all(Array.from({ length: 10 }, () => relay.send("ann@corp.example")));
  for (const delivery of deliveries) expect(troubleIn(delivery)).toMatchObject({ code: "greeting_refused" });
  expect(relay.server.transcripts.length).toBeLessThanOrEqual(3);
});

test("a mail that waits is given up by its signal, and others go on", async () => {
  const { opened, open } = gate();
  await using relay = await setup({ on: { content: () => opened } });
  const first = relay.send("ann@corp.example");
  const abort = new AbortController();
  const waiting = relay.transport.send(envelopeTo("bob@corp.example"), CONTENT, abort.signal);
  const other = relay.send("cid@corp.example");
  abort.abort();
  expect(troubleIn(await waiting)).toMatchObject({ code: "aborted" });
  open();
  expect(outcomesOf(await first)).toEqual(["sent final 250"]);
  expect(outcomesOf(await other)).toEqual(["sent final 250"]);
  expect(relay.server.mails.map(({ recipients }) => recipients[0])).toEqual(["ann@corp.example", "cid@corp.example"]);
});

test("a mail that waits for a fresh connection is given up by its signal too", async () => {
  const abort = new AbortController();
  let mails = 0;
  await using relay = await setup({
    on: {
      connect: (_, { connection }) => connection > 1 ? { hang: true } : undefined,
      mail: () => ++mails === 2 ? { close: undefined } : undefined,
    },
  });
  await relay.send("ann@corp.example");
  const waiting = relay.transport.send(envelopeTo("bob@corp.example"), CONTENT, abort.signal);
  await relay.server.whenConnections(2);
  abort.abort();
  expect(troubleIn(await waiting)).toMatchObject({ code: "aborted" });
});

test("a signal that aborts during the dialogue lets it run to its end", async () => {
  const abort = new AbortController();
  await using relay = await setup({
    on: {
      mail: () => {
        abort.abort();
        return undefined;
      },
    },
  });
  const delivery = await relay.transport.send(envelopeTo("ann@corp.example"), CONTENT, abort.signal);
  expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
});

test("a signal that was aborted before begins nothing", async () => {
  await using relay = await setup();
  const delivery = await relay.transport.send(envelopeTo("ann@corp.example"), CONTENT, AbortSignal.abort());
  expect(troubleIn(delivery)).toMatchObject({ code: "aborted" });
  expect(relay.server.transcripts).toEqual([]);
});

test("close() ends idle connections with QUIT, lets busy ones finish, and gives up what waits", async () => {
  const { opened, open } = gate();
  await using relay = await setup({ on: { content: () => opened } });
  const busy = relay.send("ann@corp.example");
  const waiting = relay.send("bob@corp.example");
  await relay.server.whenSaid("\r\n.\r\n");
  const closing = relay.transport.close();
  expect(troubleIn(await waiting)).toMatchObject({ code: "aborted" });
  open();
  expect(outcomesOf(await busy)).toEqual(["sent final 250"]);
  await closing;
  await relay.server.whenEmpty();
  expect(relay.server.transcripts[0]?.client).toEndWith("\r\n.\r\nQUIT\r\n");
  expect(troubleIn(await relay.send("cid@corp.example"))).toMatchObject({ code: "aborted" });
});

test("a mail whose reused connection dies while close() waits for it is given back, not forgotten", async () => {
  let closing: Promise<void> | undefined;
  await using relay = await setup({
    on: {
      mail: (_, { count }) => {
        if (count === 1) return undefined;
        closing = relay.transport.close();
        return { close: undefined };
      },
    },
  });
  await relay.send("ann@corp.example");
  expect(troubleIn(await relay.send("bob@corp.example"))).toMatchObject({ code: "closed", phase: "mail" });
  await closing;
});

test("a mail that comes while the idle connection says QUIT goes over a fresh one", async () => {
  const timers = new ManualTimers();
  await using relay = await setup({ on: { quit: () => ({ hang: true }) } }, { rim: { timers }, connections: 2 });
  await relay.send("ann@corp.example");
  timers.advance(20_000);
  expect(outcomesOf(await relay.send("bob@corp.example"))).toEqual(["sent final 250"]);
  expect(relay.server.transcripts).toHaveLength(2);
});

test("a mail that finds the only connection saying QUIT waits until that has ended", async () => {
  const timers = new ManualTimers();
  await using relay = await setup({ on: { quit: () => ({ hang: true }) } }, { rim: { timers } });
  await relay.send("ann@corp.example");
  timers.advance(20_000);
  const waiting = relay.send("bob@corp.example");
  await relay.server.whenSaid("QUIT");
  timers.advance(2_000);
  expect(outcomesOf(await waiting)).toEqual(["sent final 250"]);
});

test("close() while connections are opening ends at once", async () => {
  await using relay = await setup({ on: { connect: () => ({ hang: true }) } });
  const waiting = relay.send("ann@corp.example");
  await relay.server.whenConnections(1);
  await relay.transport.close();
  expect(troubleIn(await waiting)).toMatchObject({ code: "aborted" });
});

test("20 failed connections leave no socket and no timer behind", async () => {
  const timers = new ManualTimers();
  await using relay = await setup({ on: { ehlo: () => "550 no" } }, { rim: { timers } });
  for (let mail = 0; mail < 20; mail++) await relay.send("ann@corp.example");
  await relay.server.whenEmpty();
  expect(timers.count).toBe(0);
});

const GOOD: SmtpOptions = { host: "127.0.0.1", port: 25, tls: "none", ehloName: "relay.example" };
test.each<[Partial<SmtpOptions>, string]>([
  [{ port: 0 }, "port"],
  [{ port: 65_536 }, "port"],
  [{ connections: 0 }, "connections"],
  [{ connections: Number.NaN }, "connections"],
  [{ connections: 1_001 }, "connections"],
  [{ connections: 1.5 }, "connections"],
  [{ maxMailsPerConnection: 0 }, "maxMailsPerConnection"],
  [{ maxConnectionAgeMs: 0 }, "maxConnectionAgeMs"],
  [{ timeouts: { finalMs: 0 } }, "timeouts.finalMs"],
  [{ timeouts: { finalMs: 86_400_001 } }, "timeouts.finalMs"],
  [{ timeouts: { finalsMs: 5 } as Partial<SmtpOptions["timeouts"]> }, "timeouts.finalsMs"],
  [{ ca: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }, "ca"],
  [{ clientCertificate: { cert: "AAAA", key: "AAAA" } }, "clientCertificate"],
  [{ host: "" }, "host"],
  [{ host: "a b" }, "host"],
  [{ auth: { user: "", password: "x" } }, "auth.user"],
  [{ auth: { user: "x", password: "a\0b" } }, "auth.password"],
])("the options %p are refused by the name of the field", (wrong, field) => {
  expect(() => createSmtpTransport({ ...GOOD, ...wrong })).toThrow(`Cannot use ${field}`);
});

test("each limit is allowed exactly", () => {
  const exact = { connections: 1_000, port: 65_535, maxMailsPerConnection: 1, timeouts: { finalMs: 86_400_000 } };
  expect(() => createSmtpTransport({ ...GOOD, ...exact })).not.toThrow();
});
