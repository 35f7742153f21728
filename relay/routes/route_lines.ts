import type { Leg } from "../delivery/holdings.ts";
import type { RouteRoom } from "../drain/room.ts";
import type { LegResult } from "../queue/settlement.ts";
import { RouteLine, type RouteLineOptions } from "./route_line.ts";
import type { Route } from "./route.ts";

/** The lines of all routes in one database. */
export class RouteLines {
  readonly #lines: ReadonlyMap<string, RouteLine>;

  constructor(routes: readonly Route[], options: Omit<RouteLineOptions, "route" | "isOnly">) {
    const isOnly = routes.length === 1;
    this.#lines = new Map(routes.map((route) => [route.name, new RouteLine({ route, isOnly, ...options })]));
  }

  /** All of them. */
  get all(): readonly RouteLine[] {
    return [...this.#lines.values()];
  }

  /** `run --once` has given up all routes. */
  get areLeftAlone(): boolean {
    return this.all.every((line) => line.isLeftAlone);
  }

  /**
   * The line of the first of a leg's routes that is not out; those before it are struck off.
   * @returns how the leg ends when all are out
   */
  choose(leg: Leg): RouteLine | LegResult {
    for (let [name] = leg.routes; name !== undefined; [name] = leg.routes) {
      const line = this.#lines.get(name);
      if (line !== undefined && !line.isOut) return line;
      if (line !== undefined) leg.againMs = Math.min(leg.againMs, line.outAgainMs());
      leg.routes = leg.routes.slice(1);
    }
    if (leg.againMs < Infinity) return { kind: "skipped", againMs: leg.againMs };
    return { kind: "failed", reason: "No route: no rule of RELAY_ROUTES fits this recipient" };
  }

  /** Mails that are on their way through a route at the moment. */
  get working(): number {
    return this.all.reduce((sum, { working }) => sum + working, 0);
  }

  /** How many more messages may be claimed for each. */
  rooms(): readonly RouteRoom[] {
    return this.all.map((line) => line.room());
  }

  /** Hands out all that no worker has begun. */
  takeWaiting(): readonly Leg[] {
    return this.all.flatMap((line) => line.takeWaiting());
  }
}
