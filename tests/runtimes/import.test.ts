import { expect, test } from "bun:test";
import { join } from "node:path";
import * as client from "../../mod.ts";
import { bundle, ROOT } from "./bundle.ts";
import { ISOLATES, startIsolates } from "./isolates.ts";
import { nodeProgram } from "./node.ts";
import { TIMEOUT_MS } from "./stage.ts";

// The client by itself, in an isolate that has nothing of Node. How long that takes is printed and not judged: machines
// differ.

const NAMES = Object.keys(client).sort();
const text = await bundle("tests/runtimes/names_guest.ts", { target: "browser", format: "iife", minify: true });

/** Runs a program's script, and returns what it prints as JSON. */
async function printed(runtime: string, command: readonly string[]): Promise<unknown> {
  const run = Bun.spawn([...command], { stdout: "pipe", stderr: "pipe" });
  const [out, errors] = await Promise.all([new Response(run.stdout).text(), new Response(run.stderr).text()]);
  if (await run.exited !== 0) throw new Error(errors);
  const { names, ms } = JSON.parse(out);
  console.log(`${runtime}: the client is imported in ${ms.toFixed(1)} ms`);
  return names;
}

/** A script that takes the time of this code and prints what it has set. */
function script(global: string, run: string): string {
  return `const text = ${
    JSON.stringify(text)
  }; const start = performance.now(); ${run}; const ms = performance.now() - start;
    console.log(JSON.stringify({ names: ${global}.names, ms }))`;
}

test("Node imports the client", async () => {
  expect(await printed("Node", [nodeProgram(), "-e", script("globalThis", "(0, eval)(text)")])).toEqual(NAMES);
}, TIMEOUT_MS);

test("Deno imports the client, and grants it nothing", async () => {
  const deno = join(ROOT, "node_modules/.bin/deno");
  const code = `data:text/javascript,${encodeURIComponent(script("globalThis", "(0, eval)(text)"))}`;
  expect(await printed("Deno", [deno, "run", "--no-prompt", code])).toEqual(NAMES);
}, TIMEOUT_MS);

test("edge-runtime imports the client", async () => {
  const vm = `const edge = new (require(${JSON.stringify(join(ROOT, "node_modules/@edge-runtime/vm"))}).EdgeVM)();`;
  expect(await printed("edge-runtime", [nodeProgram(), "-e", vm + script("edge.context", "edge.evaluate(text)")]))
    .toEqual(NAMES);
}, TIMEOUT_MS);

test("workerd imports the client without nodejs_compat", async () => {
  const empty = await startIsolates("");
  const started = await startIsolates(text);
  expect(started.answer).toEqual(NAMES);
  const eachMs = (started.ms - empty.ms) / ISOLATES;
  console.log(`workerd: the client adds ${eachMs.toFixed(1)} ms to the start of an isolate (mean of ${ISOLATES})`);
}, TIMEOUT_MS);
