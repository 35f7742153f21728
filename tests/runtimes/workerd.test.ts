import { test } from "bun:test";
import { thoroughly } from "../thoroughly.ts";
import { connectionsOf, programme } from "./matrix.ts";
import { Stage, TIMEOUT_MS } from "./stage.ts";
import { startWorkerd } from "./workerd.ts";

const stage = new Stage((hyperdriveUrl) => startWorkerd({ hyperdriveUrl, nodejsCompat: false }));

for (const [connection, sentence] of programme("workerd", thoroughly)) {
  test(`workerd, ${connection}: ${sentence}`, () => stage.run(connection, sentence), TIMEOUT_MS);
}

test("workerd: a mail is queued in waitUntil, after the answer", async () => {
  for (const connection of connectionsOf("workerd")) await stage.runAfterAnswer(connection, "queues exactly one mail");
}, TIMEOUT_MS);
