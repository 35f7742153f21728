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

test("a mail that goes to a fresh connection keeps its place under the limit of its domain", async () => {
  let mails = 0;
  await using relay = await setup({
    on: {
      content: () => relay.server.whenConnections(2).then(() => undefined),
      mail: () => ++mails === 3 ? { close: undefined } : undefined,
    },
  }, { connections: 2, connectionsPerDomain: 1 });
  await Promise.all([relay.send("ann@one.example"), relay.send("ann@two.example")]);
  // Bob's finds its connection dead, and the other connection is free.
  for (const delivery of await Promise.all([relay.send("bob@corp.example"), relay.send("cid@corp.example")])) {
    expect(outcomesOf(delivery)).toEqual(["sent final 250"]);
  }
  const order = relay.server.mails.slice(2).map(({ recipients }) => recipients[0]);
  expect(order).toEqual(["bob@corp.example", "cid@corp.example"]);
});
