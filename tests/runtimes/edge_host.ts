import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { argv, stdin, stdout } from "node:process";
import { createInterface } from "node:readline";

// Node with Vercel's edge runtime in it: arguments are the repository's package.json and the bundle for the edge. A
// line of stdin is a request: a path, a space and a body; a line of stdout is the answer's body.

const [, , packageFile = "", bundleFile = ""] = argv;
const { EdgeVM } = createRequire(packageFile)("@edge-runtime/vm") as typeof import("@edge-runtime/vm");
const edge = new EdgeVM({ initialCode: readFileSync(bundleFile, "utf8") });

for await (const line of createInterface({ input: stdin })) {
  const space = line.indexOf(" ");
  const url = `http://edge.example${line.slice(0, space)}`;
  const response = await edge.dispatchFetch(url, { method: "POST", body: line.slice(space + 1) });
  stdout.write(`${await response.text()}\n`);
}
