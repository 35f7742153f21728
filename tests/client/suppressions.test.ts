import { expect, test } from "bun:test";
import postgres from "postgres";
import { createMailer } from "../../mod.ts";
import { createDatabase } from "../database.ts";
import { rejects } from "./cases.ts";
import { grantShop } from "./shop.ts";

const MESSAGE = { from: "a@shop.example", to: "ann@example.com", subject: "s", text: "t" };

async function openShop() {
  const database = await createDatabase();
  const sql = postgres(await grantShop(database), { max: 1, onnotice: () => {} });
  const mail = createMailer(sql);
  return {
    database,
    sql,
    mail,
    [Symbol.asyncDispose]: async () => {
      await sql.end({ timeout: 1 });
      await database[Symbol.asyncDispose]();
    },
  };
}

test("an address that an app suppresses gets none of its mail, in whichever case it is written", async () => {
  await using shop = await openShop();
  await shop.mail.suppressions.add("Ann <ANN@Example.com>", "unsubscribe");
  const { id } = await shop.mail.send(MESSAGE);
  const status = await shop.mail.get(id);
  expect(status).toMatchObject({
    state: "suppressed",
    recipients: [{ reason: "On the suppression list: unsubscribe" }],
  });
  const found = await shop.mail.suppressions.get("ann@EXAMPLE.com");
  expect(found).toMatchObject({ address: "ann@example.com", reason: "unsubscribe", scope: "app" });
  expect(found?.createdAt).toBeInstanceOf(Date);
});

test("an internationalised domain is one address in both its forms", async () => {
  await using shop = await openShop();
  await shop.mail.suppressions.add("ann@münchen.example");
  expect(await shop.mail.suppressions.get("ann@xn--mnchen-3ya.example")).toMatchObject({ reason: "manual" });
});

test("a suppression that ends later holds until then, and one that has ended no more, however a mail is enqueued", async () => {
  await using shop = await openShop();
  await shop.database.sql`
    insert into mailchute.suppression (address, reason, until)
    values ('ann@example.com', 'bounce', now() + interval '1 minute'), ('bob@example.com', 'bounce', now() - interval '1 second')`;
  const stateOf = async (id: string) => (await shop.mail.get(id))?.state;
  for (const [to, state] of [["ann@example.com", "suppressed"], ["bob@example.com", "queued"]] as const) {
    expect(await stateOf((await shop.mail.send({ ...MESSAGE, to })).id)).toBe(state);
    expect(await stateOf((await shop.mail.send({ ...MESSAGE, to: [], bcc: to, tags: ["t"] })).id)).toBe(state);
    const { batch } = await shop.mail.sendMany({ from: MESSAGE.from, subject: "s", text: "t" }, [{ to }]);
    expect((await shop.mail.get({ batch }))?.states).toEqual({ [state]: 1 });
    expect(await shop.mail.suppressions.get(to) === undefined).toBe(state === "queued");
  }
});

test("another app's mail goes on", async () => {
  await using shop = await openShop();
  await shop.mail.suppressions.add("ann@example.com");
  const other = createMailer(shop.database.sql);
  const { id } = await other.send(MESSAGE);
  expect((await other.get(id))?.state).toBe("queued");
  expect(await other.suppressions.get("ann@example.com")).toBeUndefined();
});

test("an app takes off what it has put there, and nothing else", async () => {
  await using shop = await openShop();
  const { suppressions } = shop.mail;
  await suppressions.add("ann@example.com");
  await shop.database.sql`
    insert into mailchute.suppression (address, scope, reason)
    values ('bob@example.com', 'all', 'bounce'), ('cleo@example.com', 'app:shop', 'complaint')`;
  expect(await suppressions.remove("Ann@example.com")).toBe(true);
  expect(await suppressions.remove("ann@example.com")).toBe(false);
  expect(await suppressions.remove("bob@example.com")).toBe(false);
  // By a person, in the app's scope.
  expect(await suppressions.remove("cleo@example.com")).toBe(false);
  expect(await suppressions.get("ann@example.com")).toBeUndefined();
  expect(await suppressions.get("bob@example.com")).toMatchObject({ scope: "all", reason: "bounce" });
});

test("a second add changes the reason, inside the app's own transaction", async () => {
  await using shop = await openShop();
  await shop.mail.suppressions.add("ann@example.com");
  await shop.sql.begin((tx) => shop.mail.suppressions.add("ann@example.com", "complaint", { tx }));
  expect((await shop.mail.suppressions.get("ann@example.com"))?.reason).toBe("complaint");
  const failing = shop.sql.begin(async (tx) => {
    await shop.mail.suppressions.add("ann@example.com", "bounce", { tx });
    throw new Error("no");
  });
  await failing.catch(() => {});
  expect((await shop.mail.suppressions.get("ann@example.com"))?.reason).toBe("complaint");
});

test("what is no address and no reason is refused, by the client and by the database", async () => {
  await using shop = await openShop();
  await rejects(shop.mail.suppressions.add("nobody"), "validation_error", "address");
  await rejects(shop.mail.suppressions.get(undefined as unknown as string), "validation_error", "address");
  await rejects(shop.mail.suppressions.add("a@b.example", "spam" as "bounce"), "validation_error", "reason");
  for (const call of ["suppress_v1('nobody', 'manual')", "suppress_v1('a@b.example', 'spam')", "suppression_v1('x')"]) {
    const error = await shop.sql.unsafe(`select mailchute.${call}`).then(() => undefined, (error) => error);
    expect(error?.code).toBe("MC001");
  }
});
