import type { RelayStatus } from "../http/status_source.ts";
import type { CommandContext } from "./command.ts";
import { relayUrl } from "./relay_url.ts";

/** Longer than that relay waits itself for a database that is silent. */
const HTTP_TIMEOUT_MS = 5_000;

/** Routes and limits of the relay that runs on this machine; empty where none answers, or none that we may ask. */
export async function relayHere(context: CommandContext): Promise<Partial<Pick<RelayStatus, "routes" | "limits">>> {
  try {
    const response = await fetch(relayUrl(context, "status"), { signal: AbortSignal.timeout(HTTP_TIMEOUT_MS) });
    const { routes, limits } = (response.ok ? await response.json() : {}) as Partial<RelayStatus>;
    return Array.isArray(routes) ? { routes, ...(limits === undefined ? {} : { limits }) } : {};
  } catch {
    // Nobody there, or somebody else.
    return {};
  }
}
