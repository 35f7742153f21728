import { readFileSync } from "node:fs";
import type { BuiltImage } from "./builder.ts";

// DESIGN: what a container engine does, with the programs of Debian's base: a process namespace whose process 1 is the
// image's own program, a read-only root file system, a volume for the state, the image's user and environment. The
// network is the caller's.

/** How to run an image. */
export interface ContainerOptions {
  /** The folder on this machine that is the image's volume. */
  readonly volume: string;
  /** Added to the image's environment. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Instead of the image's CMD. */
  readonly command?: readonly string[];
}

/** How a process ended and what it printed (stdout and stderr). */
export interface Ended {
  readonly code: number;
  readonly output: string;
}

/** A container that runs or has run. */
export interface Container {
  readonly exited: Promise<Ended>;
  output(): string;
  /** Resolves when it has printed this; rejects when it ends before. */
  printed(text: string): Promise<void>;
  /** The id of its process 1, as this machine sees it. */
  processId(): number;
  /** Runs a further command in it, as the image's user, like `docker exec`. */
  exec(words: readonly string[]): Promise<Ended>;
}

const START = `set -e
root=$1 volume=$2 inside=$3 workdir=$4 user=$5 group=$6; shift 6
mount --bind "$root" "$root"
mount --bind "$volume" "$root$inside"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for device in null zero random urandom; do : > "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
mount -o remount,bind,ro "$root"
exec unshare --root "$root" --wd "$workdir" --setuid "$user" --setgid "$group" -- "$@"`;

/** Starts a container. Root only. */
export function startContainer(image: BuiltImage, options: ContainerOptions): Container {
  const [user = "0", group = "0"] = image.user.split(":");
  const [inside] = image.volumes;
  if (inside === undefined) throw new Error("Cannot run the image: it has no volume");
  const env = { ...Object.fromEntries(image.environment.map(pair)), ...options.environment };
  const child = Bun.spawn(
    [
      ...["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"],
      ...["sh", "-c", START, "sh", image.root, options.volume, inside, image.workingDirectory, user, group],
      ...image.entrypoint,
      ...(options.command ?? image.command),
    ],
    { env, stdio: ["ignore", "pipe", "pipe"] },
  );
  const { output, ended, watch } = collect(child);
  const processId = () => {
    const [first] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").split(" ");
    if (!first) throw new Error(`The container has ended: ${output()}`);
    return Number(first);
  };
  return {
    exited: ended,
    output,
    processId,
    printed: (text) =>
      new Promise((resolve, reject) => {
        watch(() => {
          if (output().includes(text)) resolve();
        });
        void ended.then(() => reject(new Error(`The container ended without printing "${text}": ${output()}`)));
      }),
    exec: (words) => {
      const namespaces = ["--target", String(processId()), "--mount", "--pid", "--root", "--wd"];
      const enter = ["nsenter", ...namespaces, "--setuid", user, "--setgid", group, "--"];
      return collect(Bun.spawn([...enter, ...words], { env, stdio: ["ignore", "pipe", "pipe"] })).ended;
    },
  };
}

function pair(line: string): readonly [string, string] {
  const at = line.indexOf("=");
  return [line.slice(0, at), line.slice(at + 1)];
}

function collect(child: Bun.Subprocess<"ignore", "pipe", "pipe">): {
  readonly output: () => string;
  readonly ended: Promise<Ended>;
  readonly watch: (look: () => void) => void;
} {
  let text = "";
  const watchers: (() => void)[] = [];
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      text += decoder.decode(chunk, { stream: true });
      for (const look of watchers) look();
    }
  };
  const ended = Promise.all([child.exited, read(child.stdout), read(child.stderr)])
    .then(([code]) => ({ code, output: text }));
  return {
    output: () => text,
    ended,
    watch: (look) => {
      watchers.push(look);
      look();
    },
  };
}
