import { chownSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** How often a folder is looked at: a watcher of the runtime's may be late, or miss what comes as it begins. */
const LOOK_MS = 20;
/** Below the time that a test has, so that the server's log is shown. */
const LONGEST_MS = 20_000;

/** Makes an empty maildir (https://cr.yp.to/proto/maildir.html) for a user. */
export function makeMaildir(path: string, uid: number): void {
  for (const folder of [path, ...["tmp", "new", "cur"].map((name) => join(path, name))]) {
    mkdirSync(folder, { recursive: true });
    chownSync(folder, uid, uid);
  }
}

/** Reads a maildir as soon as it holds so many mails, in the order of their file names. */
export async function readMaildir(path: string, count: number, log: () => string): Promise<readonly Uint8Array[]> {
  const folder = join(path, "new");
  const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
  const look = () => {
    const names = readdirSync(folder);
    if (names.length >= count) resolve(names);
  };
  const fail = () => reject(new Error(`Only ${readdirSync(folder).length} of ${count} mails in ${path}\n${log()}`));
  const looks = setInterval(look, LOOK_MS);
  const timer = setTimeout(fail, LONGEST_MS);
  try {
    look();
    return (await promise).toSorted().map((name) => new Uint8Array(readFileSync(join(folder, name))));
  } finally {
    clearTimeout(timer);
    clearInterval(looks);
  }
}
