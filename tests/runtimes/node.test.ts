import { test } from "bun:test";
import { thoroughly } from "../thoroughly.ts";
import { programme } from "./matrix.ts";
import { startNode } from "./node.ts";
import { Stage, TIMEOUT_MS } from "./stage.ts";

const stage = new Stage(startNode);

for (const [connection, sentence] of programme("Node", thoroughly)) {
  test(`Node, ${connection}: ${sentence}`, () => stage.run(connection, sentence), TIMEOUT_MS);
}
