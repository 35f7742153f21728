import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { bundleSize } from "../bench/bundle_size.ts";
import denoJson from "../deno.json" with { type: "json" };
import * as surface from "../mod.ts";
import packageJson from "../package.json" with { type: "json" };

/** Design, section 7: the client with valibot, as far as it is loaded at the start. */
const MAX_START_BYTES = 8_192;
/**
 * With bulk sends, questions and errors, which are loaded when they are first needed, or bundled where nothing can be
 * loaded later.
 */
const MAX_ALL_BYTES = 13_568;

async function bundle(entry: string): Promise<string> {
  const entrypoint = resolve(import.meta.dir, "..", entry);
  const result = await Bun.build({ entrypoints: [entrypoint], minify: true, target: "browser" });
  expect(result.success).toBe(true);
  return (await Promise.all(result.outputs.map((output) => output.text()))).join("");
}

test("mod.ts exports these names and no others", () => {
  expect(Object.keys(surface).sort()).toMatchInlineSnapshot(`
    [
      "LIMITS",
      "MailchuteError",
      "createMailer",
      "isFinal",
    ]
  `);
});

test("the other entry points export these names", async () => {
  expect(Object.keys(await import("../src/drivers/neon.ts"))).toEqual(["neonMailer"]);
  expect(Object.keys(await import("../src/drivers/postgres.ts"))).toEqual(["postgresMailer"]);
  expect(Object.keys(await import("../src/nodemailer/transport.ts"))).toEqual(["mailchuteTransport"]);
  expect(Object.keys(await import("../relay/start_relay.ts")).sort()).toEqual(["SettingsError", "startRelay"]);
  expect(Object.keys(await import("../src/testing/testing.ts")).sort()).toEqual(["connectionContract", "fakeMailer"]);
});

/** The relay runs on Bun, and JSR is for every runtime. */
const NPM_ONLY = ["./relay"];

test("npm and JSR have the same entry points, made of the same files, and the relay's is npm's alone", () => {
  const npm = Object.entries(packageJson.exports).flatMap(([name, target]) => {
    if (typeof target === "string") return [];
    const file = target.default.replace(/^\.\/dist\/(.*)\.js$/, "./$1.ts");
    expect({ name, types: target.types }).toEqual({ name, types: target.default.replace(/\.js$/, ".d.ts") });
    expect({ file, isThere: existsSync(resolve(import.meta.dir, "..", file)) }).toEqual({ file, isThere: true });
    return [[name, file] as const];
  });
  expect(npm.length).toBeGreaterThan(3);
  expect(npm.filter(([name]) => !NPM_ONLY.includes(name))).toEqual(Object.entries(denoJson.exports));
  expect(npm.map(([name]) => name)).toEqual(expect.arrayContaining(NPM_ONLY));
});

test("what an app loads with the client and valibot has at most 8,192 bytes, minified and gzipped; all of it 13,568", async () => {
  const { startBytes, allBytes } = await bundleSize(resolve(import.meta.dir, "../mod.ts"));
  console.log(`mod.ts: ${startBytes} bytes gzipped at the start, ${allBytes} bytes with all that is loaded later`);
  expect(startBytes).toBeLessThanOrEqual(MAX_START_BYTES);
  expect(allBytes).toBeLessThanOrEqual(MAX_ALL_BYTES);
});

test("the client's bundle has no driver, no Node and no encoder of mails in it", async () => {
  const text = await bundle("mod.ts");
  // The error for an unknown connection names the packages that it takes.
  const code = text.replace(/Cannot use [^`]*`/, "");
  const foreign = [
    /node:/,
    /\bBuffer\b/,
    /\bprocess\b/,
    /require\(/,
    /neondatabase/,
    /scram/i,
    /=\?UTF-8\?/,
    /MIME-Version: 1\.0/,
    /multipart/,
  ];
  expect(foreign.filter((pattern) => pattern.test(code))).toEqual([]);
});

/** The packages that a file and its imports need at run time. */
async function packagesOf(entry: string): Promise<readonly string[]> {
  const imports = new Set<string>();
  const read = async (path: string, seen: Set<string>): Promise<void> => {
    if (seen.has(path)) return;
    seen.add(path);
    // Only imports that stay: the transpiler drops those of types.
    const scan = new Bun.Transpiler({ loader: "ts" }).scanImports(await Bun.file(path).text());
    for (const { path: name } of scan) {
      if (name.startsWith(".")) await read(resolve(path, "..", name), seen);
      else imports.add(name);
    }
  };
  await read(resolve(import.meta.dir, "..", entry), new Set());
  return [...imports];
}

test("the client imports nothing at run time but valibot", async () => {
  expect(await packagesOf("mod.ts")).toEqual(["valibot"]);
});

test("the fake mailer and the contract of connections need no test framework and no driver", async () => {
  expect(await packagesOf("src/testing/testing.ts")).toEqual(["valibot"]);
});

test("the transport for nodemailer works without a version of its own of nodemailer, and on every edge runtime", async () => {
  expect(await packagesOf("src/nodemailer/transport.ts")).toEqual(["valibot"]);
});
