import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Builder } from "./builder.ts";

// What a RUN of the Containerfile and the first line of relay/main.ts need of a Debian.
const PROGRAMS = ["sh", "env", "mkdir", "chown", "ln"];

const CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt";

/**
 * Builds an image that stands in for Bun's official one (Debian, `bun` in /usr/local/bin, the user `bun` with uid 1000,
 * an entrypoint of its own that has to be replaced) out of the files of this machine.
 */
export async function buildStandIn(
  builder: Builder,
  { folder, name }: { readonly folder: string; readonly name: string },
): Promise<void> {
  const root = join(folder, "stand-in");
  for (const directory of ["bin", "dev", "etc", "proc", "root", "tmp", "usr/bin", "usr/local/bin", "var/lib"]) {
    mkdirSync(join(root, directory), { recursive: true });
  }
  chmodSync(join(root, "tmp"), 0o1777);
  await install(root, process.execPath, "/usr/local/bin/bun");
  for (const program of PROGRAMS) {
    const found = Bun.which(program);
    if (found === null) throw new Error(`Cannot build the stand-in: this machine has no ${program}`);
    await install(root, found, `/usr/bin/${program}`);
  }
  await install(root, "/bin/sh", "/bin/sh");
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\nbun:x:1000:1000::/home/bun:/bin/sh\n");
  writeFileSync(join(root, "etc/group"), "root:x:0:\nbun:x:1000:\n");
  writeFileSync(join(root, "usr/local/bin/docker-entrypoint.sh"), '#!/bin/sh\nset -e\nexec bun "$@"\n', {
    mode: 0o755,
  });
  const hasCertificates = existsSync(CERTIFICATES);
  if (hasCertificates) cpSync(realpathSync(CERTIFICATES), join(root, CERTIFICATES), { recursive: true });
  writeFileSync(
    join(folder, "stand-in.containerfile"),
    [
      "FROM scratch",
      "COPY . /",
      // A machine behind a proxy of its own has an authority of its own, which Bun must be told of to install packages.
      ...(hasCertificates ? [`ENV NODE_EXTRA_CA_CERTS=${CERTIFICATES}`] : []),
      "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "WORKDIR /home/bun/app",
      'ENTRYPOINT ["/usr/local/bin/docker-entrypoint.sh"]',
      'CMD ["/usr/local/bin/bun"]',
      "",
    ].join("\n"),
  );
  await builder.run("bud", "--pull=never", "--tag", name, "--file", join(folder, "stand-in.containerfile"), root);
}

/** Copies a program and the libraries that it is linked with, each to where its loader looks for it. */
async function install(root: string, from: string, to: string): Promise<void> {
  copy(from, join(root, to));
  const linked = await new Response(Bun.spawn(["ldd", from], { stdio: ["ignore", "pipe", "ignore"] }).stdout).text();
  // `libc.so.6 => /lib/…/libc.so.6 (0x…)`, or the loader's own path at the start of its line.
  for (const [, path] of linked.matchAll(/(?:=>|^)\s*(\/\S+) \(0x/gm)) {
    if (path !== undefined) copy(path, join(root, path));
  }
}

function copy(from: string, to: string): void {
  if (existsSync(to)) return;
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(realpathSync(from), to);
}
