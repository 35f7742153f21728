import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { table } from "../relay/settings/table.ts";
import { parseDuration } from "../relay/time/duration.ts";
import { temporaryDirectory } from "./relay_process.ts";

// What the docs, the unit and the Containerfile say about the program has to stay true. That the image works is
// container_check.ts' part.

const running = read("docs/running.md");
const unit = read("docs/mailchute.service");
const containerfile = read("Containerfile");
const statefulSet = Bun.YAML.parse(first(running, /```yaml\n(.*?)```/s)) as StatefulSet;
const pod = statefulSet.spec.template.spec;

/** The part of the example in docs/running.md that is looked at here. */
interface StatefulSet {
  readonly spec: { readonly template: { readonly spec: Pod } };
}

interface Pod {
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: { readonly fsGroup: number };
  readonly containers: readonly Container[];
}

interface Container {
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly livenessProbe: { readonly httpGet: { readonly path: string } };
  readonly ports: readonly { readonly containerPort: number }[];
  readonly volumeMounts: readonly { readonly mountPath: string }[];
}

const PATIENCE: readonly (readonly [supervisor: string, text: string, pattern: RegExp])[] = [
  ["systemd", unit, /^TimeoutStopSec=(\d+s)$/m],
  ["docker run", running, /--stop-timeout (\d+) \\/],
  ["Compose", running, /stop_grace_period: (\d+s)/],
  ["Kubernetes", running, /terminationGracePeriodSeconds: (\d+)/],
];

for (const [supervisor, text, pattern] of PATIENCE) {
  test(`${supervisor} waits longer than the relay's grace before it kills`, () => {
    const patienceMs = parseDuration(first(text, pattern).replace(/^\d+$/, "$&s")) ?? 0;
    expect(patienceMs).toBeGreaterThan(parseDuration(table.graceMs.fallback ?? "") ?? Infinity);
  });
}

test("only /livez may kill the relay", () => {
  expect(pod.containers.map((container) => container.livenessProbe.httpGet.path)).toEqual(["/livez"]);
  expect(first(containerfile, /^HEALTHCHECK .* CMD (.*)$/m)).toBe('["mailchute", "healthcheck"]');
});

test("every setting that is named exists", () => {
  const known = new Set(Object.values(table).map(({ name }) => name));
  for (const text of [running, unit, containerfile]) {
    const named = text.match(/\bRELAY_[A-Z_]+\b/g) ?? [];
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  }
  for (const { name } of pod.containers[0]?.env ?? []) expect(known).toContain(name);
});

test("the image, its volume, its user and its port are those of the examples", () => {
  const volume = first(containerfile, /^VOLUME (\S+)$/m);
  const user = Number(first(containerfile, /^USER (\d+):\d+$/m));
  expect(containerfile).toContain(`RELAY_STATE_DIR=${volume} `);
  expect(pod.containers[0]?.volumeMounts).toEqual([{ name: "state", mountPath: volume } as { mountPath: string }]);
  expect(pod.containers[0]?.env.find(({ name }) => name === "RELAY_STATE_DIR")?.value).toStartWith(`${volume}/`);
  expect(pod.securityContext.fsGroup).toBe(user);
  expect(running).toContain(`:${volume} \\\n`);
  expect(running).toContain(`-o ${user} -g ${user} `);
  expect(pod.containers[0]?.ports[0]?.containerPort).toBe(Number(first(containerfile, /^EXPOSE (\d+)$/m)));
  expect(table.port.fallback).toBe(first(containerfile, /^EXPOSE (\d+)$/m));
});

test("what is installed by hand is what is installed in the image", () => {
  const command = first(containerfile, /^RUN (bun install .*)$/m);
  expect(running).toContain(`&& ${command})`);
});

test("the recipe for systemd, run again for an update, keeps the settings and leaves nothing of the version before", () => {
  using folder = temporaryDirectory();
  const { path } = folder;
  const install = (...names: readonly string[]) => {
    const lines = first(running, /## systemd\n.*?```sh\n(.*?)```/s).split("\n").filter((line) =>
      /^(install -d|cp -r|\[ -e|install -m 0600)/.test(line)
    );
    expect(lines.length).toBeGreaterThan(2);
    for (const each of ["package.json", "bun.lock", "tsconfig.json"]) writeFileSync(join(path, each), "");
    for (const each of ["src", "relay", "docs"]) {
      rmSync(join(path, each), { recursive: true, force: true });
      mkdirSync(join(path, each));
    }
    for (const name of names) writeFileSync(join(path, "src", name), "");
    const script = lines.join("\n").replaceAll(/\/(opt|etc)\//g, `${path}/$1/`);
    const ran = Bun.spawnSync(["sh", "-ec", `mkdir -p ${path}/opt ${path}/etc\n${script}`], { cwd: path });
    expect(ran.stderr.toString()).toBe("");
  };
  install("016_new.sql", "001_old.sql");
  const settings = join(path, "etc/mailchute/relay.env");
  expect(statSync(settings).mode & 0o777).toBe(0o600);
  writeFileSync(settings, "DATABASE_URL=x");
  install("001_old.sql");
  expect(readFileSync(settings, "utf8")).toBe("DATABASE_URL=x");
  expect(readdirSync(join(path, "opt/mailchute/src"))).toEqual(["001_old.sql"]);
});

test("bun.lock is in step with package.json, or a frozen install would refuse", () => {
  const wanted = JSON.parse(read("package.json"));
  const locked = JSON.parse(read("bun.lock").replace(/,(\s*[}\]])/g, "$1")).workspaces[""];
  for (const kind of ["dependencies", "devDependencies", "peerDependencies"]) {
    expect(locked[kind], kind).toEqual(wanted[kind]);
  }
});

function read(path: string): string {
  return readFileSync(join(import.meta.dir, "..", path), "utf8");
}

function first(text: string, pattern: RegExp): string {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`Nothing fits ${pattern}`);
  return found;
}

test("every way to start the relay keeps its memory small in the same way", () => {
  const ways = { "package.json": read("package.json"), bin: read("bin/mailchute.ts"), unit, containerfile, running };
  for (const [way, text] of Object.entries(ways)) {
    expect({ way, bytes: /BUN_JSC_forceRAMSize(?:=|: ")(\d+)/.exec(text)?.[1] }).toEqual({
      way,
      bytes: String(256 * 1_024 * 1_024),
    });
  }
});
