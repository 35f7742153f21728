import { test } from "bun:test";
import { thoroughly } from "../thoroughly.ts";
import { startEdgeRuntime } from "./edge_runtime.ts";
import { connectionsOf, programme } from "./matrix.ts";
import { Stage, TIMEOUT_MS } from "./stage.ts";

const stage = new Stage(startEdgeRuntime);

for (const [connection, sentence] of programme("edge-runtime", thoroughly)) {
  test(`edge-runtime, ${connection}: ${sentence}`, () => stage.run(connection, sentence), TIMEOUT_MS);
}

test("edge-runtime: a mail is queued in waitUntil, after the answer", async () => {
  for (const connection of connectionsOf("edge-runtime")) {
    await stage.runAfterAnswer(connection, "queues exactly one mail");
  }
});
