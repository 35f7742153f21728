import { randomUUID } from "node:crypto";
import postgres, { type Sql } from "postgres";
import type { TestDatabase } from "../database.ts";

let roles = 0;

/** A login role that no other test knows: roles belong to the cluster, and all tests share one. */
export function newRole(): string {
  return `role_${++roles}_${randomUUID().slice(0, 8)}`;
}

/** Connects as a role, made when new. */
export async function connectAs(database: TestDatabase, role: string): Promise<Sql & AsyncDisposable> {
  const sql = postgres(await database.as(role), { max: 3, onnotice: () => {}, fetch_types: false });
  return Object.assign(sql, { [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }) });
}

/** A mail that an app with the senders *@shop.example.com may send. */
export const MAIL = { from: "Shop <a@shop.example.com>", to: "ann@example.com", subject: "Hi", text: "Hello" };

/** Enqueues it, changed as the test says. @returns the id */
export async function send(sql: Sql, request: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const [row] = await sql`select mailchute.send(${JSON.stringify({ ...MAIL, ...request })}::text::jsonb) as id`;
  return row?.id as string;
}

/** The error that a promise is rejected with. */
export async function refusal(promise: Promise<unknown>): Promise<{ readonly code: string; readonly message: string }> {
  const error = await promise.then((value) => ({ code: "none", message: JSON.stringify(value) }), (reason) => reason);
  return { code: error.code, message: `${error.message} ${error.detail ?? ""} ${error.hint ?? ""}` };
}
