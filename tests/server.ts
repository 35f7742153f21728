import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedPostgres, startEmbedded } from "../relay/database/embedded.ts";

/** Names the URL of a Postgres that several test runs use, one after the other; else a run starts its own. */
export const SERVER_VARIABLE = "MAILCHUTE_TEST_SERVER";

/**
 * Starts a Postgres for tests: in memory where that is possible, and without a flush. It ends and goes with this
 * process.
 */
export function startTestServer(): Promise<EmbeddedPostgres> {
  const directory = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "mailchute-test-"));
  // Bun test calls no exit handler.
  return startEmbedded({ directory, durable: false, temporary: true });
}
