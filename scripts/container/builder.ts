import { mkdirSync } from "node:fs";
import { join } from "node:path";

/** What an image says about how to run it (a part of the Docker image configuration), and where its files are. */
export interface BuiltImage {
  /** The folder that is its root file system. */
  readonly root: string;
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  /** `NAME=value` lines. */
  readonly environment: readonly string[];
  readonly workingDirectory: string;
  readonly volumes: readonly string[];
  /** Such as `8025/tcp`. */
  readonly ports: readonly string[];
  /** The words of HEALTHCHECK: `CMD` and the exec form. */
  readonly healthcheck: readonly string[];
}

/** Runs buildah with a storage of its own under `folder`; needs neither a daemon nor cgroups. */
export class Builder {
  readonly #folder: string;
  readonly #signal: AbortSignal;

  constructor(folder: string, signal: AbortSignal) {
    this.#folder = folder;
    this.#signal = signal;
    mkdirSync(join(folder, "tmp"));
  }

  /**
   * Runs one command of buildah.
   *
   * @returns what it printed
   * @throws {Error} with what it said, when it fails
   */
  async run(...words: readonly string[]): Promise<string> {
    const storage = ["--root", join(this.#folder, "storage"), "--runroot", join(this.#folder, "run")];
    const child = Bun.spawn(["buildah", "--storage-driver", "vfs", ...storage, ...words], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, TMPDIR: join(this.#folder, "tmp") },
      signal: this.#signal,
    });
    const [output, said, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    if (code !== 0) throw new Error(`Cannot run buildah ${words.join(" ")}: ${said.trim()}\n${output.trim()}`);
    return output.trim();
  }

  /** Builds the Containerfile of `context` and mounts the image. */
  async build(context: string, name: string): Promise<BuiltImage> {
    // OCI's own format has no HEALTHCHECK.
    await this.run(
      ...["bud", "--isolation", "chroot", "--pull=never", "--format", "docker", "--no-cache"],
      ...["--volume", "/etc/resolv.conf:/etc/resolv.conf:ro", "--tag", name, context],
    );
    const container = await this.run("from", "--pull=never", name);
    const root = await this.run("mount", container);
    const { config } = JSON.parse(await this.run("inspect", "--type", "image", name)).Docker;
    return {
      root,
      user: config.User ?? "",
      entrypoint: config.Entrypoint ?? [],
      command: config.Cmd ?? [],
      environment: config.Env ?? [],
      workingDirectory: config.WorkingDir || "/",
      volumes: Object.keys(config.Volumes ?? {}),
      ports: Object.keys(config.ExposedPorts ?? {}),
      healthcheck: config.Healthcheck?.Test ?? [],
    };
  }
}
