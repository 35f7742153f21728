import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { thoroughly } from "./thoroughly.ts";

// What npm publishes compiles for who uses it: with the oldest lib that is named here, without any runtime's types, and
// with every declaration checked.

const ROOT = join(import.meta.dir, "..");
const TSC_7 = join(ROOT, "node_modules/typescript/lib/tsc.js");
/** TypeScript 5, which comes with the tool that looks at the package's types. */
const TSC_5 = join(dirname(Bun.resolveSync("typescript", Bun.resolveSync("@arethetypeswrong/core", ROOT))), "tsc.js");

mkdirSync(join(ROOT, ".cache"), { recursive: true });
const folder = mkdtempSync(join(ROOT, ".cache/published-types-"));

/** An app on the libs of es2022 and the web. */
const APP = `
import { createMailer, type Mailer } from "mailchute";
import { neonMailer } from "mailchute/neon";
import { mailchuteTransport } from "mailchute/nodemailer";
import { type PostgresMailer, postgresMailer } from "mailchute/postgres";
import { type RunningRelay, startRelay } from "mailchute/relay";
import { fakeMailer } from "mailchute/testing";
import { drainWorker } from "mailchute/worker";

export const relay: Promise<RunningRelay> = startRelay({ env: {}, pid: 1, print: () => undefined });
export const worker = drainWorker({ database: "", address: "", smtp: "" });
export const transport = mailchuteTransport(fakeMailer());
export async function send(db: { query(text: string): unknown }): Promise<readonly Mailer[]> {
  const mail: PostgresMailer = postgresMailer("");
  await mail.close();
  return [createMailer(db), neonMailer(""), mail];
}
`;

/** One whose lib has disposal. */
const DISPOSING = `
import { postgresMailer } from "mailchute/postgres";

export async function send(): Promise<void> {
  await using mail = postgresMailer("");
  const disposable: AsyncDisposable = mail;
  await disposable[Symbol.asyncDispose]();
}
`;

async function run(tsc: string, ...options: readonly string[]): Promise<string> {
  const child = Bun.spawn(["node", tsc, ...options], { cwd: folder, stdout: "pipe" });
  return await new Response(child.stdout).text();
}

/** Where an app finds each entry point. */
const paths = Object.fromEntries(
  Object.entries(packageJson.exports).flatMap(([name, target]) =>
    typeof target === "string" ? [] : [[name.replace(/^\./, "mailchute"), [target.types]]]
  ),
);

beforeAll(async () => {
  const declarations = ["-p", join(ROOT, "tsconfig.build.json"), "--emitDeclarationOnly", "--outDir", "dist"];
  expect(await run(TSC_7, ...declarations)).toBe("");
  const config = (lib: readonly string[], file: string) =>
    JSON.stringify({
      compilerOptions: {
        target: "es2022",
        module: "esnext",
        moduleResolution: "bundler",
        lib,
        types: [],
        paths,
        strict: true,
        skipLibCheck: false,
        noEmit: true,
      },
      files: [file],
    });
  writeFileSync(join(folder, "app.ts"), APP);
  writeFileSync(join(folder, "disposing.ts"), DISPOSING);
  writeFileSync(join(folder, "tsconfig.app.json"), config(["es2022", "dom"], "app.ts"));
  writeFileSync(
    join(folder, "tsconfig.disposing.json"),
    config(["es2022", "esnext.disposable", "dom"], "disposing.ts"),
  );
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

// The older one is slow, and says the same.
for (const [name, tsc] of thoroughly ? [["7", TSC_7], ["5", TSC_5]] as const : [["7", TSC_7]] as const) {
  test(`TypeScript ${name} compiles an app with the lib of es2022 and checks every declaration`, async () => {
    expect(await run(tsc, "-v")).toStartWith(`Version ${name}.`);
    expect(await run(tsc, "-p", "tsconfig.app.json")).toBe("");
  }, 60_000);

  test(`TypeScript ${name} lets an app dispose of postgresMailer where its lib has disposal`, async () => {
    expect(await run(tsc, "-p", "tsconfig.disposing.json")).toBe("");
  }, 60_000);
}
