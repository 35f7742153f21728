// A program on Bun that has the relay inside: bun examples/relay_inside.ts
import { SettingsError, startRelay } from "mailchute/relay";

const asked = new AbortController();
process.once("SIGTERM", () => asked.abort()).once("SIGINT", () => asked.abort());

try {
  const { env, pid } = process;
  const relay = await startRelay({ env, pid, print: console.log, signal: asked.signal });
  // Here the program does its own work, until it is asked to end.
  await relay.stopped;
} catch (error) {
  if (!(error instanceof SettingsError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
