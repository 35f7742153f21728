import { expect, test } from "bun:test";
import { enqueueBatch } from "../batch.ts";
import { createDatabase } from "../database.ts";
import { describeMessage, enqueue, openTestRelay } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";

// SQL lets through what the client refuses.

const LONG = "x".repeat(60_000);

for (
  const [name, mail, reason] of [
    ["a text", { text: "{{a}} ".repeat(100_000) }, "has more than 10,000,000 characters"],
    ["HTML", { html: "{{a}} ".repeat(100_000) }, "has more than 10,000,000 characters"],
    ["a subject", { subject: "{{a}} ".repeat(2) }, "has more than 65,536 characters"],
    [
      "headers",
      { headers: Array.from({ length: 50 }, (_, index) => [`X-${index}`, "{{a}}"]) },
      "headers have more than 65,536 characters together with the subject",
    ],
  ] as const
) {
  test(`${name} that a value makes gigabytes of fails by itself, and holds up nobody`, async () => {
    await using server = await startScriptedServer();
    await using database = await createDatabase();
    await enqueueBatch(database, { readers: 1, mail, variables: { a: LONG } });
    const [long] = await database.sql`select id from mailchute.message`;
    const other = await enqueue(database);
    await using running = await openTestRelay(database, { smtpPort: server.port });
    await running.relay.runOnce();
    expect((await describeMessage(database, other)).state).toBe("sent");
    const { state, recipients } = await describeMessage(database, long?.id);
    expect(state).toBe("failed");
    expect(recipients[0]?.reason).toContain(reason);
    expect(server.mails).toHaveLength(1);
  });
}
