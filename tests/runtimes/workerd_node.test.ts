import { test } from "bun:test";
import { thoroughly } from "../thoroughly.ts";
import { connectionsOf, programme } from "./matrix.ts";
import { Stage, TIMEOUT_MS } from "./stage.ts";
import { startWorkerd } from "./workerd.ts";

const stage = new Stage((hyperdriveUrl) => startWorkerd({ hyperdriveUrl, nodejsCompat: true }));

for (const [connection, sentence] of programme("workerd with nodejs_compat", thoroughly)) {
  test(`workerd with nodejs_compat, ${connection}: ${sentence}`, () => stage.run(connection, sentence), TIMEOUT_MS);
}

test("workerd with nodejs_compat: a mail is queued in waitUntil, after the answer", async () => {
  for (const connection of connectionsOf("workerd with nodejs_compat")) {
    await stage.runAfterAnswer(connection, "queues exactly one mail");
  }
});
