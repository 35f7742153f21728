import { expect, test } from "bun:test";
import { createMailer } from "../../mod.ts";
import { createDatabase } from "../database.ts";
import { openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { rejection, rejects } from "./cases.ts";

const MESSAGE = { from: "a@b.example", to: "ann@example.com", subject: "s", text: "t" };

test("wait() resolves with the status once the mail is final", async () => {
  await using database = await createDatabase();
  await using server = await startScriptedServer();
  const mail = createMailer(database.sql);
  const { id } = await mail.send(MESSAGE);
  const waiting = mail.wait(id);
  await using relay = await openTestRelay(database, { smtpPort: server.port });
  await relay.relay.runOnce();
  expect(await waiting).toMatchObject({ id, state: "sent", attempts: [{ outcome: "sent" }] });
});

test("wait() ends in `timeout`, which says what state the mail is in", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  const { id } = await mail.send(MESSAGE);
  // Long enough for one answer of a busy machine.
  const error = await rejects(mail.wait(id, { timeoutMs: 400 }), "timeout");
  expect(error.message).toContain("queued");
});

test("wait() ends with the signal's own reason, before and in between", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  const { id } = await mail.send(MESSAGE);
  const reason = new Error("the user has left");
  expect(await rejection(mail.wait(id, { signal: AbortSignal.abort(reason) }))).toBe(reason);
  const controller = new AbortController();
  const waiting = rejection(mail.wait(id, { signal: controller.signal }));
  controller.abort(reason);
  expect(await waiting).toBe(reason);
});

test("wait() says at once when there is no such mail, or it is not committed", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  await rejects(mail.wait("no uuid"), "validation_error", "id");
  await rejects(mail.wait("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), "validation_error", "id");
});

test("wait() refuses a deadline that is none, and options that it does not know", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  for (const timeoutMs of [0, -1, Number.NaN, 2 ** 31]) {
    await rejects(mail.wait("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", { timeoutMs }), "validation_error", "timeoutMs");
  }
  await rejects(mail.wait("x", { timeout: 5 } as object), "validation_error", "timeout");
});

test("wait() names the option that is at fault, where odd ones ended in a TypeError", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  const { id } = await mail.send(MESSAGE);
  for (const signal of [null, 7, "now", {}, new AbortController(), new Event("abort")]) {
    await rejects(mail.wait(id, { signal } as object), "validation_error", "signal");
  }
  await rejects(mail.wait(id, { tx: null } as object), "connection_unsupported");
  await rejects(mail.wait(id, database.sql as object), "validation_error", "options");
  // As everywhere else, no options.
  await rejects(mail.wait(crypto.randomUUID(), null as never), "validation_error", "id");
});

test("an id of any kind that is none is refused by its name, where some ended in a TypeError", async () => {
  await using database = await createDatabase();
  const mail = createMailer(database.sql);
  for (const id of [Symbol("id"), 7n, null, undefined, [Symbol("id")], Object.create(null)]) {
    await rejects(mail.wait(id as never), "validation_error");
    await rejects(mail.reschedule(id as never, new Date()), "validation_error", "id");
  }
  await rejects(mail.get(Symbol("id") as never), "validation_error", "id");
  await rejects(mail.cancel(Symbol("id") as never), "validation_error", "id");
});

test("wait() keeps its own deadline, and ends with the signal's reason, while the database is silent", async () => {
  const mail = createMailer({ query: () => new Promise(() => {}) });
  const error = await rejects(mail.wait(crypto.randomUUID(), { timeoutMs: 20 }), "timeout");
  expect(error.message).toBe("Cannot wait for the mail: it is not known after 20 ms, and goes on without us");
  const controller = new AbortController();
  const waiting = rejection(mail.wait(crypto.randomUUID(), { signal: controller.signal }));
  const reason = new Error("the user has left");
  controller.abort(reason);
  expect(await waiting).toBe(reason);
});
