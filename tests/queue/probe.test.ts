import { expect, test } from "bun:test";
import { createDatabase } from "../database.ts";
import { enqueue, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

for (const priority of ["high", "normal"]) {
  test(`three ${priority} mails that the server drops at MAIL do not keep the others from being sent`, async () => {
    await using server = await startScriptedServer({
      on: { mail: (address) => address.startsWith("poison@") ? { close: "421 4.7.0 not you" } : undefined },
    });
    await using database = await createDatabase();
    for (const number of [1, 2, 3]) {
      await enqueue(database, { from: "poison@example.com", to: `p${number}@example.com`, priority });
    }
    await using running = await openTestRelay(database, { smtpPort: server.port, pollMs: 50, graceMs: 200 });
    running.relay.start();
    // The breaker is open now, and each poisoned mail is due again whenever it allows a probe.
    await server.whenConnections(6);
    for (const number of [1, 2, 3, 4, 5]) await enqueue(database, { to: `u${number}@example.com` });
    await server.whenMails(5);
    expect(server.mails.every(({ reversePath }) => reversePath === "shop@example.com")).toBe(true);
  });
}
