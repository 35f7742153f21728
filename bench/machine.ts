import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import type { Lab } from "./lab.ts";
import { quantile } from "./measure.ts";
import { findSmtpSink } from "./sink.ts";

/** What a figure depends on, as pairs for a table. */
export type Facts = readonly (readonly [name: string, value: string])[];

const SYNCS = 200;

/** Describes the machine, the programs and the commit that are measured. */
export function describeMachine(lab: Lab, now: Date): Facts {
  const [cpu] = cpus();
  return [
    ["Commit", commit()],
    ["Date", now.toISOString().slice(0, 10)],
    ["CPU", `${cpu?.model ?? "unknown"}, ${cpus().length} cores`],
    ["Memory", `${Math.round(totalmem() / 2 ** 30)} GiB`],
    ["One fsync of 8 KiB, median", `${syncMs(lab.directory).toFixed(2)} ms`],
    ["Bun", Bun.version],
    ["Postgres", `${lab.postgresVersion}, embedded, 128 MB shared buffers, fsync on, else its defaults`],
    ["SMTP server", lab.sinkKind === "bun" ? `bench/sink_server.ts${missing()}` : "smtp-sink of Postfix"],
    [
      "Peers",
      ["nodemailer", "graphile-worker", "pg-boss", "postgres"].map((name) => `${name} ${versionOf(name)}`).join(", "),
    ],
  ];
}

/** The commit, and whether the tree differs from it. */
export function commit(): string {
  const git = (...args: string[]) => spawnSync("git", args, { cwd: import.meta.dir, encoding: "utf8" }).stdout?.trim();
  const hash = git("rev-parse", "--short=12", "HEAD");
  if (!hash) return "unknown";
  // The figures themselves are written after they are taken.
  return git("status", "--porcelain", "--", "..", ":!../docs/figures.md") ? `${hash}, with changes` : hash;
}

function missing(): string {
  return findSmtpSink() === undefined ? ", since smtp-sink is not installed" : "";
}

function versionOf(name: string): string {
  return createRequire(import.meta.url)(`${name}/package.json`).version;
}

/** How long the disk needs for what a commit asks of it. */
function syncMs(directory: string): number {
  const path = join(directory, "sync");
  const file = openSync(path, "w");
  const page = Buffer.alloc(8_192, 1);
  const times: number[] = [];
  for (let count = 0; count < SYNCS; count++) {
    const start = performance.now();
    writeSync(file, page, 0, page.length, count * page.length);
    fsyncSync(file);
    times.push(performance.now() - start);
  }
  closeSync(file);
  rmSync(path);
  return quantile(times.toSorted((a, b) => a - b), 0.5);
}
