import { expect, test } from "bun:test";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { startEmbedded } from "../../relay/database/embedded.ts";
import { createDatabase } from "../database.ts";
import { temporaryDirectory } from "../relay_process.ts";
import { until } from "../relay.ts";

test(
  "the folder of a temporary server is gone when its process was killed, and nothing of the server is left",
  async () => {
    await using database = await createDatabase({ empty: true });
    const directory = mkdtempSync(join(tmpdir(), "mailchute-test-"));
    const program = `
    const { startEmbedded } = await import(${
      JSON.stringify(join(import.meta.dir, "../../relay/database/embedded.ts"))
    });
    const { url } = await startEmbedded({ directory: ${JSON.stringify(directory)}, durable: false, temporary: true });
    console.log(url);
    setInterval(() => {}, 1_000);`;
    const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    const url = new TextDecoder().decode(value).trim();
    expect(url).toStartWith("postgres://");
    expect(existsSync(join(directory, "data"))).toBe(true);
    child.kill("SIGKILL");
    await child.exited;
    await until(async () => {
      await database.sql`select`;
      return !existsSync(directory);
    }, "the folder is gone");
    const late = postgres(url, { max: 1, connect_timeout: 2 });
    expect(await late`select`.then(() => "answered", (error) => error.code as string)).toBe("ECONNREFUSED");
    await late.end();
  },
  60_000,
);

test("a server that is not temporary keeps its data over a stop", async () => {
  using folder = temporaryDirectory();
  const directory = join(folder.path, "postgres");
  await using first = await startEmbedded({ directory, durable: false });
  const writing = postgres(first.url, { max: 1 });
  await writing`create table kept (value text)`;
  await writing.end();
  await first.stop();
  await using second = await startEmbedded({ directory, durable: false });
  const reading = postgres(second.url, { max: 1 });
  expect((await reading`select from kept`).count).toBe(0);
  await reading.end();
}, 60_000);

test("a folder whose server runs already is refused in one sentence", async () => {
  using folder = temporaryDirectory();
  await using _first = await startEmbedded({ directory: folder.path, durable: false });
  const said = await startEmbedded({ directory: folder.path, durable: false }).then(
    () => "started",
    (error) => error.message,
  );
  expect(said).toStartWith(`Cannot start the embedded Postgres in ${folder.path}: another relay runs it; give each`);
  expect(said).not.toContain("\n");
}, 60_000);
