import { join } from "node:path";
import type { SmtpSettings } from "./config.ts";
import type { ConnectOptions } from "./database/database.ts";
import { type EmbeddedPostgres, startEmbedded } from "./database/embedded.ts";
import { type Inbox, startInbox } from "./mail/inbox.ts";

/** An embedded Postgres is where its directory is, at another port after each start. */
const PLACE = "embedded";

/** A first look without any server: an embedded, durable Postgres and a local inbox, both in the state directory. */
export interface Playground {
  readonly database: ConnectOptions;
  readonly smtp: SmtpSettings;
  readonly inbox: Inbox;
  stop(): Promise<void>;
}

/** Starts both. @throws {Error} naming the package that is missing */
export async function startPlayground(stateDirectory: string): Promise<Playground> {
  const postgres = await startEmbeddedDatabase(join(stateDirectory, "postgres"));
  const inbox = await startInbox({ directory: join(stateDirectory, "inbox") }).catch(async (error: unknown) => {
    await postgres.embedded.stop();
    throw error;
  });
  return {
    database: postgres.database,
    smtp: { host: "127.0.0.1", port: inbox.port, tls: "none", allowsInsecureAuth: false },
    inbox,
    stop: async () => {
      await inbox.stop();
      await postgres.embedded.stop();
    },
  };
}

/** Starts the embedded server for the home database. */
export async function startEmbeddedDatabase(
  directory: string,
): Promise<{ readonly database: ConnectOptions; readonly embedded: EmbeddedPostgres }> {
  const embedded = await startEmbedded({ directory });
  const { host } = new URL(embedded.url);
  return {
    embedded,
    database: {
      name: "home",
      display: `${host}/postgres (embedded)`,
      url: embedded.url,
      pooled: false,
      address: PLACE,
    },
  };
}
