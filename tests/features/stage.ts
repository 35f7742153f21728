import PostalMime, { type Email } from "postal-mime";
import postgres from "postgres";
import { createMailer, type Mailer } from "../../mod.ts";
import { grantShop } from "../client/shop.ts";
import { createDatabase, type TestDatabase } from "../database.ts";
import { openTestRelay, type TestRelay, type TestRelayOptions, until } from "../relay.ts";
import { type ScriptedServer, type Scripts, startScriptedServer } from "../scripted_server.ts";

// What a file of wishes plays on: one database, one SMTP server, one relay that serves all the while, and an app with
// no rights but to send.

/** Longer than any test: what is sent sooner was rung for. */
const LONG_POLL_MS = 10 * 60_000;

/** What the server answers, and what else of the relay is not as usual. */
export interface StageOptions extends Omit<TestRelayOptions, "smtpPort"> {
  readonly on?: Scripts;
}

export interface Stage extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly server: ScriptedServer;
  readonly running: TestRelay;
  /** The connection of the app `shop`: it may call our functions, and has tables of its own. */
  readonly sql: postgres.Sql;
  /** The app's mailer; its mails are from hello@shop.example. */
  readonly mail: Mailer;
  /** What the server has taken for an address, as a reader sees it; the first mail first. */
  received(address: string): Promise<readonly Email[]>;
  /** Resolves when the relay waits for the bell. */
  untilAsleep(): Promise<void>;
}

/** Opens it, with the relay running. */
export async function openStage({ on, ...options }: StageOptions = {}): Promise<Stage> {
  const server = await startScriptedServer(on === undefined ? {} : { on });
  const database = await createDatabase();
  const sql = postgres(await grantShop(database), { onnotice: () => {} });
  const running = await openTestRelay(database, { smtpPort: server.port, pollMs: LONG_POLL_MS, ...options });
  running.relay.start();
  return {
    ...{ database, server, running, sql },
    mail: createMailer(sql, { from: "Shop <hello@shop.example>" }),
    received: (address) =>
      Promise.all(
        server.mails.filter(({ recipients }) => recipients.includes(address)).map(({ content }) =>
          PostalMime.parse(content, { forceRfc822Attachments: true })
        ),
      ),
    untilAsleep: () =>
      until(async () => (await database.sql`select from mailchute.relay where asleep`).length > 0, "it sleeps"),
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await sql.end({ timeout: 1 });
      await database[Symbol.asyncDispose]();
      await server.close();
    },
  };
}

/** The app `shop` makes tables, which are its own. */
export async function makeTables({ database }: Stage, tables: string): Promise<void> {
  await database.sql.unsafe(`${tables}; grant all on all tables in schema public to shop_app`).simple();
}
