import { expect, test } from "bun:test";
import type { Sql } from "postgres";
import { createMailer } from "../../mod.ts";
import { rejects } from "../client/cases.ts";
import { isOverridable } from "../../src/suppression.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { enqueue, openTestRelay } from "../relay.ts";
import { connectAs, newRole, refusal, send } from "../schema/role.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { on, run } from "../command.ts";

// Mail that must go to an address that wants none (overrideSuppression).

const MUST = { overrideSuppression: true };
/** What may be passed, and what never. */
const [PASSED, STOPS] = [["unsubscribe", "manual"], ["bounce", "complaint", "asked in a letter", "Manual"]];
const REASONS = [...PASSED, ...STOPS];

function addressOf(reason: string): string {
  return `reason-${REASONS.indexOf(reason)}@example.com`;
}

/** An app whose role has the right, or has it not. */
async function openShop(more: readonly string[]) {
  const database = await createDatabase();
  const role = newRole();
  const app = await connectAs(database, role);
  const grants = async (words: readonly string[]) => {
    const { code, stderr } = await run(
      ["grants", role, "--app", "shop", "--from", "*@shop.example.com", ...words],
      on(database),
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    return stderr;
  };
  const said = await grants(more);
  return {
    ...{ database, role, app, grants, said },
    async [Symbol.asyncDispose]() {
      await app[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}

async function suppress(sql: Sql, address: string, [reason, scope]: readonly [string, string]): Promise<void> {
  await sql`insert into mailchute.suppression (address, scope, reason) values (${address}, ${scope}, ${reason})`;
}

/** All about a mail, of whichever app. */
async function describeMail(database: TestDatabase, id: string): Promise<Described> {
  const [row] = await database.sql`select mailchute.describe(seq) as mail from mailchute.message where id = ${id}`;
  return row?.mail as Described;
}

interface Described {
  readonly state: string;
  readonly recipients: readonly { readonly state: string; readonly reason?: string }[];
}

async function stateOf(database: TestDatabase, id: string): Promise<string> {
  return (await describeMail(database, id)).state;
}

test("an app without the right is refused, by a code of its own, with the command that gives it, and nothing is stored", async () => {
  await using shop = await openShop([]);
  const refused = await refusal(send(shop.app, MUST));
  expect(refused.code).toBe("MC006");
  expect(refused.message).toContain("App shop may not override the suppression list");
  expect(refused.message).toEndWith(
    "allows it with mailchute grants, which replaces what the app has: --may-override-suppression beside all that it has already",
  );
  const mail = createMailer(shop.app, { from: "a@shop.example.com" });
  const message = { to: "ann@example.com", subject: "s", text: "t" };
  const error = await rejects(mail.send({ ...message, ...MUST }), "override_not_allowed", "overrideSuppression");
  expect(error.message).toContain("`mailchute grants` with --may-override-suppression");
  expect(await shop.database.sql`select from mailchute.message`).toHaveLength(0);
  // Who does not ask needs no right.
  for (const overrideSuppression of [false, null]) expect(await send(shop.app, { overrideSuppression })).toBeString();
});

test("grants gives the right and says so, again without it takes it away; the owner of the schema has it", async () => {
  await using shop = await openShop(["--may-override-suppression"]);
  expect(shop.said).toContain("also past the suppression list where a mail asks for it");
  const id = await send(shop.app, MUST);
  expect(await describeMail(shop.database, id)).toMatchObject({ state: "queued", overrideSuppression: true });
  expect(await describeMail(shop.database, await send(shop.app))).not.toHaveProperty("overrideSuppression");
  expect(await shop.grants([])).not.toContain("past the suppression list");
  expect((await refusal(send(shop.app, MUST))).code).toBe("MC006");
  expect(await enqueue(shop.database, MUST)).toBeString();
});

test("what is enqueued goes past a word of the reader or of a person, and never past a bounce or a complaint", async () => {
  await using shop = await openShop(["--may-override-suppression"]);
  const mail = createMailer(shop.app, { from: "a@shop.example.com" });
  for (const scope of ["all", "app:shop"]) {
    for (const reason of REASONS) {
      const address = `${scope.slice(0, 3)}-${addressOf(reason)}`;
      await suppress(shop.database.sql, address, [reason, scope]);
      const state = PASSED.includes(reason) ? "queued" : "suppressed";
      for (const more of [{}, { to: [address.toUpperCase(), "bob@example.com"] }, { tags: ["reset"] }]) {
        const { recipients } = await describeMail(
          shop.database,
          await send(shop.app, { to: address, ...MUST, ...more }),
        );
        expect({ reason, more, state: recipients[0]?.state }).toEqual({ reason, more, state });
      }
      expect(await stateOf(shop.database, await send(shop.app, { to: address }))).toBe("suppressed");
      const { id } = await mail.send({ to: address, subject: "s", text: "t", ...MUST });
      expect({ reason, state: await stateOf(shop.database, id) }).toEqual({ reason, state });
    }
  }
  // A word beside a bounce, in whichever scope that is.
  for (const [word, bounce] of [["all", "app:shop"], ["app:shop", "all"]] as const) {
    const address = `${word.slice(0, 3)}-both@example.com`;
    await suppress(shop.database.sql, address, ["unsubscribe", word]);
    await suppress(shop.database.sql, address, ["bounce", bounce]);
    expect(await stateOf(shop.database, await send(shop.app, { to: address, ...MUST }))).toBe("suppressed");
  }
});

test("what comes onto the list while the mail waits is passed by the same rule, in every scope, and is on record", async () => {
  await using server = await startScriptedServer();
  await using shop = await openShop(["--may-override-suppression"]);
  const { sql } = shop.database;
  const scopes = ["all", "app:shop", "stream:codes", "sender:*@shop.example.com"];
  const sent = new Map<string, { readonly id: string; readonly reason: string }>();
  for (const [index, scope] of scopes.entries()) {
    for (const reason of REASONS) {
      const address = `${index}-${addressOf(reason)}`;
      sent.set(address, { reason, id: await send(shop.app, { to: address, stream: "codes", ...MUST }) });
      await suppress(sql, address, [reason, scope]);
    }
  }
  const both = await send(shop.app, { to: ["both@example.com", `0-${addressOf("manual")}`, "x@example.com"], ...MUST });
  await suppress(sql, "both@example.com", ["manual", "all"]);
  await suppress(sql, "both@example.com", ["complaint", "app:shop"]);
  const plain = await send(shop.app, { to: "plain@example.com" });
  await suppress(sql, "plain@example.com", ["unsubscribe", "all"]);
  // What was let in stays so: the right is looked at when a mail is enqueued, as its sender is.
  await shop.grants([]);
  await using running = await openTestRelay(shop.database, { smtpPort: server.port });
  expect(await running.relay.runOnce()).toMatchObject({ waiting: 0, leased: 0 });
  for (const [address, { id, reason }] of sent) {
    const { recipients } = await describeMail(shop.database, id);
    expect({ address, ...recipients[0] }).toMatchObject(
      PASSED.includes(reason)
        ? { state: "sent", reason: `On the suppression list: ${reason}; sent all the same (overrideSuppression)` }
        : { state: "suppressed", reason: `On the suppression list: ${reason}` },
    );
  }
  expect((await describeMail(shop.database, both)).recipients).toMatchObject([
    { state: "suppressed", reason: "On the suppression list: complaint" },
    { state: "sent", reason: "On the suppression list: manual; sent all the same (overrideSuppression)" },
    { state: "sent", reason: "taken" },
  ]);
  expect(await stateOf(shop.database, plain)).toBe("suppressed");
  const reached = server.mails.flatMap(({ recipients }) => recipients);
  expect(reached).toHaveLength(scopes.length * PASSED.length + 2);
});

test("an app makes no word of a bounce or a complaint that is on the list, and what it may override of a word", async () => {
  await using shop = await openShop(["--may-override-suppression"]);
  for (const reason of ["bounce", "complaint"]) {
    await suppress(shop.database.sql, addressOf(reason), [reason, "app:shop"]);
    for (const word of PASSED) await shop.app`select mailchute.suppress_v1(${addressOf(reason)}, ${word})`;
    expect(await stateOf(shop.database, await send(shop.app, { to: addressOf(reason), ...MUST }))).toBe("suppressed");
  }
  await shop
    .app`select mailchute.suppress_v1('ann@example.com', 'manual'), mailchute.suppress_v1('ann@example.com', 'complaint')`;
  expect(await stateOf(shop.database, await send(shop.app, MUST))).toBe("suppressed");
});

test("a reader's word after a bounce whose time is over is a word, which the app may take back", async () => {
  await using shop = await openShop(["--may-override-suppression"]);
  const { sql } = shop.database;
  await sql`
    insert into mailchute.suppression (address, scope, reason, until)
    values ('ann@example.com', 'app:shop', 'bounce', now() - interval '1 day'), ('bob@example.com', 'app:shop', 'bounce', now() + interval '1 day')`;
  const { suppressions } = createMailer(shop.app);
  for (const name of ["ann", "bob"]) await suppressions.add(`${name}@example.com`, "unsubscribe");
  expect(await stateOf(shop.database, await send(shop.app))).toBe("suppressed");
  expect(await stateOf(shop.database, await send(shop.app, MUST))).toBe("queued");
  expect(await stateOf(shop.database, await send(shop.app, { to: "bob@example.com", ...MUST }))).toBe("suppressed");
  expect([await suppressions.remove("ann@example.com"), await suppressions.remove("bob@example.com")])
    .toEqual([true, false]);
});

test("an app does not take off the complaint that a person has made of its own word", async () => {
  await using shop = await openShop(["--may-override-suppression"]);
  const { suppressions } = createMailer(shop.app);
  await suppressions.add("ann@example.com", "unsubscribe");
  const complain = ["suppress", "ann@example.com", "--scope", "app:shop", "--reason", "complaint"];
  expect((await run(complain, on(shop.database))).code).toBe(0);
  expect(await suppressions.remove("ann@example.com")).toBe(false);
  expect(await stateOf(shop.database, await send(shop.app, MUST))).toBe("suppressed");
  // The same reason again is still the app's word.
  await suppressions.add("bob@example.com", "manual");
  expect((await run(["suppress", "bob@example.com", "--scope", "app:shop"], on(shop.database))).code).toBe(0);
  expect(await suppressions.remove("bob@example.com")).toBe(true);
});

test("bulk mail and digests go past nothing, for the client and for SQL", async () => {
  await using shop = await openShop(["--may-override-suppression"]);
  const mail = createMailer(shop.app, { from: "a@shop.example.com" });
  const template = { subject: "s", text: "t", ...MUST };
  await rejects(mail.sendMany(template, [{ to: "ann@example.com" }]), "validation_error", "overrideSuppression");
  const request = { id: crypto.randomUUID(), recipients: [["ann@example.com", null, null, null]] };
  const many = (overrideSuppression: unknown) =>
    refusal(shop.app`select * from mailchute.enqueue_many_v1(${
      JSON.stringify({
        ...request,
        mail: { from: { email: "a@shop.example.com" }, subject: "s", text: "t", overrideSuppression },
      })
    }::text::jsonb)`);
  expect((await many(true)).message).toContain("overrideSuppression is not for a batch");
  expect((await many("true")).message).toContain("overrideSuppression must be true or false");
  const digest = { key: "k", wait: "1h" } as const;
  await rejects(
    mail.send({ ...template, to: "ann@example.com", digest }),
    "validation_error",
    "overrideSuppression",
  );
  expect((await refusal(send(shop.app, { ...MUST, digest }))).message).toContain(
    "overrideSuppression does not go with digest",
  );
  expect((await refusal(send(shop.app, { overrideSuppression: "yes" }))).message).toContain("must be true or false");
  expect(await shop.database.sql`select from mailchute.message`).toHaveLength(0);
});

test("show and explain tell that a mail overrides the list", async () => {
  await using database = await createDatabase();
  const id = await enqueue(database, MUST);
  await suppress(database.sql, "ann@example.com", ["unsubscribe", "all"]);
  const shown = await run(["show", id], on(database));
  expect(shown.stdout).toContain("overrides the suppression list");
  expect(shown.stdout).toContain("on the suppression list now: ann@example.com (unsubscribe)");
  expect(JSON.parse((await run(["show", id, "--json"], on(database))).stdout)).toMatchObject(MUST);
  const explained = await run(["explain", id], on(database));
  expect(explained.stdout).toContain("unsubscribe; that does not stop it (overrideSuppression)");
  expect((await run(["show", await enqueue(database)], on(database))).stdout).not.toContain("overrides");
}, 60_000);

test("client, database and the claim agree on the reasons that a mail that must go may pass", async () => {
  await using database = await createDatabase();
  const reasons = ["manual", "bounce", "complaint", "unsubscribe", "whatever an operator has said"];
  const rows = await database.sql`
    select r.reason, mailchute.is_overridable(r.reason) as passes from jsonb_array_elements_text(${
    JSON.stringify(reasons)
  }::text::jsonb) as r(reason)`;
  expect(rows.map(({ reason, passes }) => [reason, passes])).toEqual(
    reasons.map((reason) => [reason, isOverridable(reason)]),
  );
});
