import { chmod, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { InboxMail } from "./inbox.ts";

/** The mails of the inbox, in memory and as files. */
export interface InboxDirectory {
  mails(): readonly InboxMail[];
  get(id: string): InboxMail | undefined;
  /** Resolves when the mail is kept in both places. */
  add(mail: Pick<InboxMail, "from" | "to" | "content">): Promise<InboxMail>;
}

interface Limits {
  readonly maxMails: number;
  readonly maxBytes: number;
  readonly now: () => number;
}

const NAME = /^(\d{13})\.eml$/;

/**
 * Opens the directory and reads what a run before left there.
 *
 * DESIGN: a mail is `<id>.eml`, its bytes as they came, and `<id>.json`, its envelope. The envelope is written first
 * and the .eml is renamed into place, so a mail exists if and only if its .eml does; what a crash leaves is litter and
 * is removed here. An .eml that somebody put there by hand is shown without an envelope. One writer: the inbox.
 */
export async function openInboxDirectory(directory: string, limits: Limits): Promise<InboxDirectory> {
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o700); // captured mail is personal
  const kept = new Map<string, InboxMail>(); // in the order of arrival
  let bytes = 0;
  let lastId = 0;
  let queue: Promise<unknown> = Promise.resolve();

  function keep(mail: InboxMail): readonly InboxMail[] {
    kept.set(mail.id, mail);
    bytes += mail.content.byteLength;
    lastId = Math.max(lastId, Number(mail.id));
    const gone: InboxMail[] = [];
    for (const old of kept.values()) {
      if (kept.size <= limits.maxMails && bytes <= limits.maxBytes) break;
      kept.delete(old.id);
      bytes -= old.content.byteLength;
      gone.push(old);
    }
    return gone;
  }

  async function store(mail: Pick<InboxMail, "from" | "to" | "content">): Promise<InboxMail> {
    const at = limits.now();
    const id = String(Math.max(at, lastId + 1)).padStart(13, "0");
    const whole: InboxMail = { id, receivedAt: new Date(at), ...mail };
    const base = join(directory, id);
    const envelope = { receivedAt: whole.receivedAt, from: mail.from, to: mail.to };
    await writeFile(`${base}.json`, JSON.stringify(envelope), { mode: 0o600 });
    await writeFile(`${base}.tmp`, mail.content, { mode: 0o600 });
    await rename(`${base}.tmp`, `${base}.eml`);
    for (const old of keep(whole)) await removeFiles(join(directory, old.id));
    return whole;
  }

  for (const id of await sweep(directory)) {
    for (const old of keep(await load(directory, id))) await removeFiles(join(directory, old.id));
  }

  return {
    mails: () => [...kept.values()].reverse(),
    get: (id) => kept.get(id),
    add(mail) {
      // One after the other: ids stay in order, and the bounds are kept on disk too.
      const added = queue.then(() => store(mail));
      queue = added.catch(() => {});
      return added;
    },
  };
}

/** Removes what a crash left and returns the ids of the mails, the oldest first. */
async function sweep(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory);
  const ids = names.flatMap((name) => NAME.exec(name)?.[1] ?? []).sort();
  for (const name of names) {
    const id = /^(\d{13})\.(json|tmp)$/.exec(name)?.[1];
    if (id !== undefined && (name.endsWith(".tmp") || !ids.includes(id))) await rm(join(directory, name));
  }
  return ids;
}

async function load(directory: string, id: string): Promise<InboxMail> {
  const base = join(directory, id);
  const content = new Uint8Array(await readFile(`${base}.eml`));
  const envelope = await readFile(`${base}.json`, "utf8").then(parseEnvelope).catch(() => undefined);
  if (envelope !== undefined) return { id, content, ...envelope };
  return { id, content, receivedAt: (await stat(`${base}.eml`)).mtime, from: "", to: [] };
}

function parseEnvelope(text: string): Omit<InboxMail, "id" | "content"> | undefined {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null) return undefined;
  const { receivedAt, from, to } = value as Readonly<Record<string, unknown>>; // any property of an object is unknown
  const date = new Date(typeof receivedAt === "string" ? receivedAt : Number.NaN);
  if (Number.isNaN(date.getTime()) || typeof from !== "string" || !Array.isArray(to)) return undefined;
  return { receivedAt: date, from, to: to.filter((address) => typeof address === "string") };
}

async function removeFiles(base: string): Promise<void> {
  // The .eml first: without it the mail does not exist.
  await rm(`${base}.eml`, { force: true });
  await rm(`${base}.json`, { force: true });
}
