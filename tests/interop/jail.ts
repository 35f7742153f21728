import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { program } from "../debian.ts";

/** Where scripts/fetch_mail_servers.sh unpacks what is not installed. */
const FETCHED = join(import.meta.dir, "../../node_modules/.cache/mail_servers/root");

const LOADER = process.arch === "arm64" ? "usr/lib/ld-linux-aarch64.so.1" : "usr/lib64/ld-linux-x86-64.so.2";

/** A root folder with no more than one server needs: it wants users and paths that this system does not have. */
export interface Jail {
  readonly root: string;
  /** Writes a file of the jail. */
  write(path: string, text: string, mode?: number): void;
  /** What to spawn so that a program of the jail runs in it. */
  command(...args: readonly string[]): string[];
  remove(): void;
}

/** Finds a program that was fetched; undefined without root, which `chroot` needs. */
export function fetchedProgram(path: string): string | undefined {
  return process.getuid?.() === 0 ? program(join(FETCHED, path)) : undefined;
}

/** The one user of the mailboxes, in each jail. */
export const MAIL_UID = 2_000;

/**
 * Makes a jail with these programs at their own paths, the libraries that they load, and the users whom they ask for.
 *
 * @param users names for numbers that belong to nobody outside
 */
export function makeJail(programs: readonly string[], users: Readonly<Record<string, number>>): Jail {
  // Only root may look into the outer one: Exim is setuid, and nobody else is to run this copy of it. On a disk, as a
  // file system in memory may forbid setuid.
  const outer = mkdtempSync(join(tmpdir(), "mailchute-jail-"));
  const root = join(outer, "root");
  mkdirSync(root);
  const copy = (from: string, to: string) => {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    copyFileSync(from, join(root, to));
    chmodSync(join(root, to), statSync(from).mode);
  };
  for (const name of ["bin", "sbin", "lib", "lib64"]) symlinkSync(`usr/${name}`, join(root, name));
  copy(join(FETCHED, LOADER), LOADER);
  for (const path of programs) {
    const from = fetchedProgram(path);
    if (from === undefined) throw new Error(`Cannot find ${path}: run scripts/fetch_mail_servers.sh`);
    copy(from, path);
    for (const library of librariesOf(from)) copy(library, library.replace(FETCHED, ""));
  }
  const write: Jail["write"] = (path, text, mode = 0o644) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text, { mode });
  };
  const all = Object.entries({ root: 0, mail: MAIL_UID, ...users });
  write("etc/passwd", all.map(([name, id]) => `${name}:x:${id}:${id}::/:/bin/sh\n`).join(""));
  write("etc/group", all.map(([name, id]) => `${name}:x:${id}:\n`).join(""));
  write("etc/hosts", "127.0.0.1 localhost\n");
  write("etc/resolv.conf", "");
  for (const path of ["tmp", "dev"]) mkdirSync(join(root, path));
  chmodSync(join(root, "tmp"), 0o1777);
  for (const [name, minor] of [["null", "3"], ["urandom", "9"]] as const) {
    const made = Bun.spawnSync(["mknod", "-m", "666", join(root, "dev", name), "c", "1", minor]);
    if (!made.success) throw new Error(`Cannot make /dev/${name} of the jail: ${made.stderr.toString()}`);
  }
  return {
    root,
    write,
    command: (...args) => ["chroot", root, ...args],
    remove: () => rmSync(outer, { recursive: true, force: true }),
  };
}

/** The libraries that a program loads, as the loader beside it says. */
function librariesOf(program: string): readonly string[] {
  const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
  const folder = join(FETCHED, `usr/lib/${machine}-linux-gnu`);
  const { stdout, stderr, success } = Bun.spawnSync([
    join(FETCHED, LOADER),
    ...["--library-path", `${folder}:${join(folder, "systemd")}`],
    ...["--list", program],
  ]);
  if (!success) throw new Error(`Cannot run ${program}: ${stderr.toString()}`);
  return [...stdout.toString().matchAll(/ => (\/[^\s)]+) \(0x/g)].map(([, path]) => path as string)
    .filter((path) => path.startsWith(folder));
}
