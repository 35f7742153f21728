import { chownSync, mkdirSync, readdirSync, readFileSync, watch } from "node:fs";
import { join } from "node:path";

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
  const watcher = watch(folder, look);
  const fail = () => reject(new Error(`Only ${readdirSync(folder).length} of ${count} mails in ${path}\n${log()}`));
  const timer = setTimeout(fail, 30_000);
  try {
    // After the watch began: what comes from now on rings.
    look();
    return (await promise).toSorted().map((name) => new Uint8Array(readFileSync(join(folder, name))));
  } finally {
    clearTimeout(timer);
    watcher.close();
  }
}
