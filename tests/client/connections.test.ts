import { expect, test } from "bun:test";
import { createMailer } from "../../mod.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { startNeonStandin } from "../neon_standin.ts";
import { CONNECTIONS, TRANSACTIONS } from "../runtimes/matrix.ts";
import { thoroughly } from "../thoroughly.ts";
import { type Bench, type Case, CASES, rejects } from "./cases.ts";
import { KINDS } from "./kinds.ts";
import type { Kind } from "./kinds/kind.ts";
import { grantShop } from "./shop.ts";

let rounds: number | undefined;

/** Neon's driver counts the rounds of SCRAM in JavaScript, for each connection; Bun.SQL takes no fewer than 4,096. */
async function setRounds(db: TestDatabase, { name }: Kind): Promise<void> {
  const wanted = name.includes("Neon") ? 1 : 4_096;
  if (rounds === wanted) return;
  rounds = wanted;
  // Roles are the whole server's.
  await db.sql.unsafe(
    `set scram_iterations = ${rounds}; alter role shop_app password 'secret'; reset scram_iterations`,
  );
}

async function withBench(kind: Kind, work: Case): Promise<void> {
  await using db = await createDatabase();
  const url = await grantShop(db);
  await setRounds(db, kind);
  await using standin = await startNeonStandin(db.url);
  await using open = await kind.open(url, standin);
  const mail = createMailer(open.connection, { from: "Shop <shop@shop.example>" });
  const admin: Bench["admin"] = async (text) => await db.sql.unsafe(text);
  await work({ kind, open, mail, admin, thoroughly });
}

for (const kind of KINDS) {
  // Another way over the same driver has little to add.
  const isShort = !thoroughly && CONNECTIONS[kind.name]?.isAnotherWay === true;
  for (const [sentence, work] of Object.entries(CASES)) {
    if (isShort && !TRANSACTIONS.includes(sentence)) continue;
    test(`${kind.name}: ${sentence}`, () => withBench(kind, work));
  }

  if (isShort) continue;
  test(`${kind.name}: names the command when the schema is missing`, async () => {
    await using db = await createDatabase({ empty: true });
    await using standin = await startNeonStandin(db.url);
    await using open = await kind.open(db.url, standin);
    const mail = createMailer(open.connection, { from: "a@b.example" });
    const error = await rejects(mail.send({ to: "c@d.example", subject: "s", text: "t" }), "not_migrated");
    expect(error.message).toContain("mailchute migrate");
  });

  test(`${kind.name}: tells a role without rights what to ask for`, async () => {
    await using db = await createDatabase();
    await using standin = await startNeonStandin(db.url);
    await using open = await kind.open(await db.as("stranger"), standin);
    const mail = createMailer(open.connection, { from: "a@b.example" });
    const error = await rejects(mail.send({ to: "c@d.example", subject: "s", text: "t" }), "permission_denied");
    expect(error.message).toContain("mailchute grants");
  });

  test(`${kind.name}: refuses recipients that the app may not mail`, async () => {
    await withBench(kind, async ({ mail, admin }) => {
      await admin("update mailchute.app set recipients = '{*@corp.example}'");
      const message = { to: ["in@corp.example", "out@example.com"], subject: "s", text: "t" };
      await rejects(mail.send(message), "recipient_not_allowed", "to.1");
    });
  });

  if (!kind.interactive) continue;
  test(`${kind.name}: two open transactions with the same content and recipients do not wait for each other`, async () => {
    await withBench(kind, async ({ kind, open, mail, admin }) => {
      await using db = await createDatabase();
      const url = await grantShop(db);
      await using standin = await startNeonStandin(db.url);
      await using one = await kind.open(url, standin);
      await using other = await kind.open(url, standin);
      const message = { from: "a@shop.example", to: ["ann@example.com", "bob@example.com"], subject: "s", text: "t" };
      await one.transaction(async (tx1, execute1) => {
        await execute1("set local lock_timeout = '100ms'", []);
        await mail.send(message, { tx: tx1 });
        await other.transaction(async (tx2, execute2) => {
          await execute2("set local lock_timeout = '100ms'", []);
          await mail.send(message, { tx: tx2 });
        });
        await mail.send(message, { tx: tx1 });
      });
      expect((await db.sql`select from mailchute.queue`).length).toBe(3);
      expect((await admin("select from mailchute.queue")).length).toBe(0);
      expect(open.connection).toBeDefined();
    });
  });
}
