import { drizzleNeonHttp } from "../client/kinds/drizzle_neon_http.ts";
import { drizzleNeonPool } from "../client/kinds/drizzle_neon_pool.ts";
import { neonHttp } from "../client/kinds/neon_http.ts";
import { neonClient, neonPool } from "../client/kinds/neon_websocket.ts";
import { run, runLater } from "./guest.ts";

// A Vercel edge function that runs a case for each request.

interface FetchEvent extends Event {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
  waitUntil(work: Promise<unknown>): void;
}

const KINDS = [neonHttp, neonPool, neonClient, drizzleNeonHttp, drizzleNeonPool];

addEventListener("fetch", (event) => (event as FetchEvent).respondWith(answer(event as FetchEvent)));

async function answer(event: FetchEvent): Promise<Response> {
  const task = await event.request.json();
  if (!event.request.url.endsWith("/later")) return Response.json(await run(task, KINDS));
  event.waitUntil(runLater(task, KINDS));
  return new Response(null, { status: 202 });
}
