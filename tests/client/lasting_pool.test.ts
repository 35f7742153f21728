import { expect, test } from "bun:test";
import { postgresMailer } from "../../src/drivers/postgres.ts";
import { startDatabaseProxy } from "../database_proxy.ts";
import { createDatabase } from "../database.ts";
import { rejects } from "./cases.ts";
import { grantShop } from "./shop.ts";

const MESSAGE = { to: "ann@example.com", subject: "s", text: "t" };

test(
  "postgresMailer whose connections a firewall has forgotten sends over new ones after the first timeout",
  async () => {
    await using database = await createDatabase();
    const proxy = await startDatabaseProxy(await grantShop(database));
    await using mail = postgresMailer(proxy.url, { from: "a@shop.example", timeoutMs: 1_000 });
    // As many as its pool has.
    const sendAll = () => Array.from({ length: 3 }, () => mail.send(MESSAGE));
    await Promise.all(sendAll());
    proxy.forget();
    const timeouts = sendAll().map((sent) => rejects(sent, "timeout"));
    await Promise.all(timeouts);
    // All three are taken by calls that nobody waits for any more.
    expect((await mail.send(MESSAGE)).created).toBe(true);
    // Else the old ones would be waited for.
    await proxy[Symbol.asyncDispose]();
  },
  60_000,
);
