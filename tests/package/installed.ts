import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };

const ROOT = join(import.meta.dir, "../..");

/** A project that has installed what `npm publish` would upload. */
export interface Project extends Disposable {
  readonly path: string;
  /** The paths in the tarball, without the folder that they all are in. */
  readonly packed: readonly string[];
}

/** What a finished program has said. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export async function execute(
  command: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string | undefined>> } = {},
): Promise<Ended> {
  const { cwd = ROOT, env = process.env } = options;
  const child = Bun.spawn([...command], { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/** The program at its best: what it prints, or an error with all that it said. */
export async function printed(
  command: readonly string[],
  options: Parameters<typeof execute>[1] = {},
): Promise<string> {
  const { code, stdout, stderr } = await execute(command, options);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${stderr}${stdout}`);
  return stdout;
}

/**
 * Builds and packs the package in a folder of its own and installs the tarball with npm into a new project, without
 * network: what the package depends on is linked from here.
 *
 * @param others what the project has besides, by name: nothing but their versions
 */
export async function installPackage(others: Readonly<Record<string, string>> = {}): Promise<Project> {
  const folder = mkdtempSync(join(tmpdir(), "mailchute-package-"));
  const [staged, path] = [join(folder, "staged"), join(folder, "project")];
  for (const made of [staged, path]) mkdirSync(made);
  await printed([process.execPath, "scripts/build.ts", join(staged, "dist")]);
  for (const file of ["package.json", ...packageJson.files.filter((name) => name !== "dist")]) {
    cpSync(join(ROOT, file), join(staged, file), { recursive: true });
  }
  const packing = await printed(["npm", "pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
    cwd: staged,
  });
  const [{ filename, files }] = JSON.parse(packing) as [
    { readonly filename: string; readonly files: readonly { readonly path: string }[] },
  ];
  const linked = [...Object.keys(packageJson.dependencies), "@neondatabase/serverless"];
  const dependencies = {
    mailchute: `file:${join(folder, filename)}`,
    ...Object.fromEntries(linked.map((name) => [name, `file:${join(ROOT, "node_modules", name)}`])),
    ...Object.fromEntries(Object.keys(others).map((name) => [name, `file:${join(folder, name)}`])),
  };
  for (const [name, version] of Object.entries(others)) {
    mkdirSync(join(folder, name));
    writeFileSync(
      join(folder, name, "package.json"),
      JSON.stringify({ name, version, type: "module", exports: "./it.js" }),
    );
    writeFileSync(join(folder, name, "it.js"), "export default undefined;");
  }
  writeFileSync(join(path, "package.json"), JSON.stringify({ private: true, type: "module", dependencies }));
  await printed(["npm", "install", "--offline", "--ignore-scripts", "--install-links", "--no-audit", "--no-fund"], {
    cwd: path,
  });
  return {
    path,
    packed: files.map((file) => file.path).sort(),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}
