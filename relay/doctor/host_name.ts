import { lookup } from "node:dns/promises";
import { adviceOnTrouble, type RouteFacts } from "../smtp/advice.ts";
import { causeOf } from "../smtp/cause.ts";
import { troubleOf } from "../smtp/ending.ts";
import { fail, type Finding, ok } from "./finding.ts";

/** Which addresses the name of a server has, as a connection would find them. */
export async function checkHostName(route: RouteFacts): Promise<Finding> {
  const { host } = route;
  try {
    const addresses = (await lookup(host, { all: true })).map(({ address }) => address);
    if (addresses.length === 1 && addresses[0] === host) return ok("name", `${host} is an address`);
    return ok("name", `${host} is ${[...new Set(addresses)].join(", ")}`);
  } catch (error) {
    const cause = causeOf(error instanceof Error ? error : new Error(String(error)), { isHandshake: false });
    const { problem, fix } = adviceOnTrouble(troubleOf("dns", "connect", cause), route);
    return fail("name", problem, fix);
  }
}
