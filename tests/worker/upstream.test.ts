import { expect, test } from "bun:test";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { checkClass, checkShape, UPSTREAM_VERSION } from "../../worker/upstream_shape.ts";

const FOLDER = join(import.meta.dir, "../../node_modules/worker-mailer");

/** Of what is bundled into a Worker (dist/index.mjs). */
const KNOWN = "ae2f484e270bb6e591d72737b38ad9443d796c232d82d095451c64f835dbdc6a";

test("worker-mailer is the version that the guard is built for, here and for those who install it", async () => {
  const { version } = await Bun.file(join(FOLDER, "package.json")).json();
  expect(version).toBe(UPSTREAM_VERSION);
  expect(packageJson.devDependencies["worker-mailer"]).toBe(UPSTREAM_VERSION);
  expect(packageJson.peerDependencies["worker-mailer"]).toBe(UPSTREAM_VERSION);
});

test("worker-mailer's code is the one that was read: a change has to be read first", async () => {
  const code = await Bun.file(join(FOLDER, "dist/index.mjs")).arrayBuffer();
  expect(new Bun.CryptoHasher("sha256").update(code).digest("hex")).toBe(KNOWN);
});

test("a worker-mailer of another shape is refused by what it lacks, with the version to install", () => {
  const here = () => undefined;
  const methods = {
    ...{ read: here, readTimeout: here, initializeSmtpSession: here, start: here, send: here, close: here },
  };
  const fields = { socket: {}, reader: {}, writer: {} };
  const lacks = (name: string) => `Cannot use this worker-mailer: it has no ${name}; install worker-mailer@1.2.1`;
  expect(() => checkClass({ prototype: methods })).not.toThrow();
  expect(() => checkShape(fields)).not.toThrow();
  for (const name of Object.keys(methods)) {
    expect(() => checkClass({ prototype: { ...methods, [name]: undefined } })).toThrow(lacks(name));
  }
  for (const name of Object.keys(fields)) expect(() => checkShape({ ...fields, [name]: null })).toThrow(lacks(name));
});
