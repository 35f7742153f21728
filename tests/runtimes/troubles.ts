import { type Connection, createMailer, type MailchuteError } from "../../mod.ts";
import { equal, rejects } from "../client/cases.ts";
import type { Kind } from "../client/kinds/kind.ts";

// What is wrong with the database's end, as the app sees it: the test has put something there that is no database.

const MESSAGE = { from: "a@shop.example", to: "ann@example.com", subject: "Receipt", text: "Thanks!" };
/** For what never answers: it is waited for in full. */
const TIMEOUT_MS = 400;
/** For what fails: long enough for a machine under load to fail first. */
const PATIENT_MS = 20_000;

/** A server that takes connections and never says a word. */
export const SILENT = "a connection that hangs ends in timeout";
/** A port that nobody listens on. */
export const REFUSED = "a connection that is refused ends in an error with a code";
/** A server that offers TLS, and then speaks none. */
export const BROKEN_TLS = "a TLS handshake that fails ends in an error with a code";

/** By what each shows. */
export const TROUBLES: Readonly<Record<string, (connection: Connection, kind: Kind) => Promise<void>>> = {
  [SILENT]: async (connection) => {
    const error = await rejection(connection, "timeout", TIMEOUT_MS);
    equal(error.message.includes(`${TIMEOUT_MS} ms`), true);
  },

  [REFUSED]: async (connection) => {
    const error = await rejection(connection, "database_error", PATIENT_MS);
    // Whatever the driver threw: Neon's throws the WebSocket's event.
    equal(error.cause !== undefined, true);
  },

  [BROKEN_TLS]: async (connection, { name }) => {
    // In workerd postgres.js tries again and again, and its promise never settles: ours does.
    const isEndless = isWorkerd() && name.startsWith("postgres.js");
    if (isEndless) await rejection(connection, "timeout", TIMEOUT_MS);
    else await rejection(connection, "database_error", PATIENT_MS);
  },
};

function rejection(connection: Connection, code: string, timeoutMs: number): Promise<MailchuteError> {
  return rejects(createMailer(connection, { timeoutMs }).send(MESSAGE), code);
}

function isWorkerd(): boolean {
  return globalThis.navigator?.userAgent === "Cloudflare-Workers";
}
