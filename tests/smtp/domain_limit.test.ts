import { expect, test } from "bun:test";
import { outcomesOf, setup } from "./setup.ts";

test("connectionsPerDomain: a slow domain holds so many connections, and the others pass it by", async () => {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let slow = 0;
  let most = 0;
  await using relay = await setup({
    on: {
      rcpt: async (address) => {
        if (!address.toLowerCase().endsWith("@slow.example")) return undefined;
        most = Math.max(most, ++slow);
        await promise;
        slow--;
        return undefined;
      },
    },
  }, { connections: 4, connectionsPerDomain: 2 });
  const held = Array.from({ length: 6 }, (_, index) => relay.send(`u${index}@${index % 2 ? "slow" : "SLOW"}.example`));
  const others = Array.from({ length: 20 }, (_, index) => relay.send(`u${index}@quick.example`));
  for (const delivery of await Promise.all(others)) expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
  expect(most).toBe(2);
  resolve(undefined);
  for (const delivery of await Promise.all(held)) expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
  expect(most).toBe(2);
});

test("a mail to two domains waits for both, and one without a limit for none", async () => {
  for (const connectionsPerDomain of [1, undefined]) {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    let mails = 0;
    await using relay = await setup(
      { on: { mail: () => ++mails === 1 ? promise : undefined } },
      { connections: 2, connectionsPerDomain },
    );
    const first = relay.send("ann@one.example");
    const both = relay.send("ann@one.example", "bob@two.example");
    const other = relay.send("bob@two.example");
    await Promise.all(connectionsPerDomain === undefined ? [both, other] : [other]);
    expect(relay.server.mails).toHaveLength(connectionsPerDomain === undefined ? 2 : 1);
    resolve(undefined);
    await Promise.all([first, both, other]);
    expect(relay.server.mails).toHaveLength(3);
  }
});
