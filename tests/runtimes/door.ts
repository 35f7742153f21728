import type { Sql } from "postgres";
import { DOOR } from "./guest.ts";
import type { Report } from "./task.ts";

/**
 * What the test's process does for its guests: SQL as superuser, and what has to do with `waitUntil`. Listens on
 * loopback.
 */
export interface Door extends AsyncDisposable {
  readonly url: string;
  /** Tells the guest that its answer has been read to the end. */
  answered(): void;
  /** What became of the work that went on after the answer. */
  readonly report: Promise<Report>;
}

/** Opens a door to this database. */
export function openDoor(sql: Sql): Door {
  const answered = Promise.withResolvers<void>();
  const report = Promise.withResolvers<Report>();
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request) => {
      const { pathname } = new URL(request.url);
      const body = await request.text();
      if (pathname === DOOR.sql) return Response.json(await sql.unsafe(body));
      if (pathname === DOOR.answered) await answered.promise;
      if (pathname === DOOR.report) report.resolve(JSON.parse(body));
      return new Response();
    },
    error: (error) => new Response(String(error), { status: 500 }),
  });
  return {
    url: server.url.href.replace(/\/$/, ""),
    answered: answered.resolve,
    report: report.promise,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}
