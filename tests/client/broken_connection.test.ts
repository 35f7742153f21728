import { test } from "bun:test";
import { createMailer, type Mailer, type MessageInput } from "../../mod.ts";
import { type DatabaseProxy, startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase } from "../database.ts";
import { startNeonStandin } from "../neon_standin.ts";
import { equal, rejection, rejects } from "./cases.ts";
import { KINDS } from "./kinds.ts";
import type { Kind, OpenKind } from "./kinds/kind.ts";
import { grantShop } from "./shop.ts";

// What lies between an app and its database breaks, with each kind of connection.

const MESSAGE = { from: "a@shop.example", to: "ann@example.com", subject: "s", text: "t" } satisfies MessageInput;

interface Line {
  readonly open: OpenKind;
  readonly proxy: DatabaseProxy;
  /** Waits so long for an answer. */
  mailer(timeoutMs: number): Mailer;
}

/** Opens a connection through a proxy, and uses it once. */
async function withLine(kind: Kind, work: (line: Line) => Promise<void>): Promise<void> {
  await using db = await createDatabase();
  await using proxy = await startDatabaseProxy(await grantShop(db));
  await using standin = await startNeonStandin(proxy.url);
  const open = await kind.open(proxy.url, standin);
  const mailer = (timeoutMs: number) => createMailer(open.connection, { timeoutMs });
  await mailer(20_000).send(MESSAGE);
  try {
    await work({ open, proxy, mailer });
  } finally {
    proxy.refuse();
    // Not waited for: some drivers never close what is broken.
    open[Symbol.asyncDispose]().then(undefined, () => {});
  }
}

for (const kind of KINDS) {
  test(`${kind.name}: a dead connection ends in an error with a code and its cause`, async () => {
    await withLine(kind, async ({ proxy, mailer }) => {
      proxy.refuse();
      const error = await rejects(mailer(20_000).send(MESSAGE), "database_error");
      equal(error.cause === undefined, false);
    });
  });

  test(`${kind.name}: a connection that falls silent ends in timeout`, async () => {
    await withLine(kind, async ({ proxy, mailer }) => {
      proxy.freeze();
      await rejects(mailer(50).send(MESSAGE), "timeout");
    });
  });

  // postgres.js 3.4.9 writes its rollback into the socket that is no more, and throws that into the air.
  if (!kind.interactive || kind.name.includes("postgres.js")) continue;
  test(`${kind.name}: a transaction whose connection dies under a mail fails`, async () => {
    await withLine(kind, async ({ open, proxy, mailer }) => {
      const lost = proxy.loseRequest("swallow me");
      const failing = open.transaction(async (tx) => {
        await rejects(mailer(20_000).send({ ...MESSAGE, subject: "swallow me" }, { tx }), "database_error");
      });
      await lost;
      await rejection(failing);
    });
  });
}
