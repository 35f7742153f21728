import { test } from "bun:test";
import { thoroughly } from "../thoroughly.ts";
import { startDeno } from "./deno.ts";
import { programme } from "./matrix.ts";
import { Stage, TIMEOUT_MS } from "./stage.ts";

const stage = new Stage(startDeno);

for (const [connection, sentence] of programme("Deno", thoroughly)) {
  test(`Deno, ${connection}: ${sentence}`, () => stage.run(connection, sentence), TIMEOUT_MS);
}
