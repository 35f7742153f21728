import { CASES, CONTRACT } from "../client/cases.ts";
import { BROKEN_TLS, REFUSED, SILENT } from "./troubles.ts";

// Which connection runs in which runtime, and why not: what the tests run and what docs/runtimes.md shows. Plain data.

/** What a connection needs of a runtime. */
type Need = "fetch" | "WebSocket" | "TCP" | "Node" | "Bun" | "Hyperdrive" | "Prisma for Node" | "TypeORM for Node";

interface Connection {
  readonly needs: readonly Need[];
  /**
   * It goes over the same driver as one that runs every case in each runtime, so that it runs those of `TRANSACTIONS`
   * only.
   */
  readonly isAnotherWay?: true;
}

/** postgres.js with the URL of Cloudflare's binding. */
export const HYPERDRIVE = "Hyperdrive";

/** By the kind's name. */
export const CONNECTIONS: Readonly<Record<string, Connection>> = {
  "postgres.js begin": { needs: ["TCP"] },
  "postgres.js savepoint": { needs: ["TCP"], isAnotherWay: true },
  "postgres.js reserve": { needs: ["TCP"], isAnotherWay: true },
  "Bun.SQL begin": { needs: ["Bun"] },
  "Bun.SQL savepoint": { needs: ["Bun"] },
  "Bun.SQL reserve": { needs: ["Bun"] },
  "pg Pool": { needs: ["Node"] },
  "pg Client": { needs: ["Node"], isAnotherWay: true },
  "Neon over HTTP": { needs: ["fetch"] },
  "Neon Pool": { needs: ["WebSocket"] },
  "Neon Client": { needs: ["WebSocket"], isAnotherWay: true },
  [HYPERDRIVE]: { needs: ["Hyperdrive"] },
  "Drizzle on postgres.js": { needs: ["TCP"], isAnotherWay: true },
  "Drizzle on pg": { needs: ["Node"], isAnotherWay: true },
  "Drizzle on Bun.SQL": { needs: ["Bun"] },
  "Drizzle on Neon Pool": { needs: ["WebSocket"], isAnotherWay: true },
  "Drizzle on Neon over HTTP": { needs: ["fetch"], isAnotherWay: true },
  Kysely: { needs: ["Node"], isAnotherWay: true },
  Prisma: { needs: ["Node", "Prisma for Node"], isAnotherWay: true },
  "Prisma on Neon": { needs: ["Prisma for Node"], isAnotherWay: true },
  "TypeORM EntityManager": { needs: ["Node", "TypeORM for Node"], isAnotherWay: true },
  "TypeORM QueryRunner": { needs: ["Node", "TypeORM for Node"], isAnotherWay: true },
};

/** A runtime, by what it is called in the tests. */
export type RuntimeName = "Bun" | "Node" | "Deno" | "workerd" | "workerd with nodejs_compat" | "edge-runtime";

const ONLY_BUN = "a part of Bun";
const ONLY_WORKERS = "a binding of Cloudflare Workers";
const OTHER_PRISMA = "not tested: Prisma generates another client for Workers";
const NO_TCP = "there is no TCP: take Neon";

/** What each runtime lacks, and why. What is not listed is run. */
const LACKS: Readonly<Record<RuntimeName, Readonly<Partial<Record<Need, string>>>>> = {
  Bun: { Hyperdrive: ONLY_WORKERS },
  Node: { Bun: ONLY_BUN, Hyperdrive: ONLY_WORKERS },
  Deno: { Bun: ONLY_BUN, Hyperdrive: ONLY_WORKERS },
  workerd: { Bun: ONLY_BUN, Node: "needs `nodejs_compat`", "Prisma for Node": OTHER_PRISMA },
  "workerd with nodejs_compat": {
    Bun: ONLY_BUN,
    "Prisma for Node": OTHER_PRISMA,
    "TypeORM for Node": "TypeORM's build for browsers, which packagers take for Workers, has no Postgres",
  },
  "edge-runtime": {
    ...{ Bun: ONLY_BUN, TCP: NO_TCP, Node: NO_TCP, Hyperdrive: ONLY_WORKERS },
    "Prisma for Node": "not tested: Prisma generates another client for edge runtimes",
  },
};

/** All runtimes. */
export const RUNTIMES = Object.keys(LACKS) as readonly RuntimeName[];

/** The cases in which a runtime could differ for two ways over the same driver. */
export const TRANSACTIONS: readonly string[] = [
  "queues the mail with the app's own change when the transaction commits",
  "queues nothing when the transaction is rolled back",
  "carries Unicode, quotes and backslashes unchanged",
  "sends one template to many in one transaction, counts them and takes them back",
];

/** What a runtime runs of a connection. In Bun, whose tests are in the same process, that is always everything. */
export function coverage(runtime: RuntimeName, connection: string): "all" | "transactions" | { readonly not: string } {
  const known = CONNECTIONS[connection];
  if (known === undefined) throw new Error(`tests/runtimes/matrix.ts does not say what ${connection} needs`);
  for (const need of known.needs) {
    const why = LACKS[runtime][need];
    if (why !== undefined) return { not: why };
  }
  return known.isAnotherWay && runtime !== "Bun" ? "transactions" : "all";
}

/** The connections that a runtime runs. */
export function connectionsOf(runtime: RuntimeName): readonly string[] {
  return Object.keys(CONNECTIONS).filter((connection) => typeof coverage(runtime, connection) === "string");
}

/**
 * What a runtime's tests run: its connections, each with its cases and with the troubles that it can have.
 *
 * @param thoroughly with the contract too, which is the longest case and says the same things once more
 */
export function programme(
  runtime: RuntimeName,
  thoroughly: boolean,
): readonly (readonly [connection: string, sentence: string])[] {
  return connectionsOf(runtime).flatMap((connection) => {
    const isAll = coverage(runtime, connection) === "all";
    const cases = Object.keys(CASES).filter((sentence) => thoroughly || sentence !== CONTRACT);
    const sentences = isAll ? [...cases, ...troublesOf(connection)] : TRANSACTIONS;
    return sentences.map((sentence) => [connection, sentence] as const);
  });
}

/** The troubles of a connection; Hyperdrive leads to one database only. */
export function troublesOf(connection: string): readonly string[] {
  const { needs = [] } = CONNECTIONS[connection] ?? {};
  if (needs.includes("Hyperdrive")) return [];
  return needs.includes("TCP") || needs.includes("Node") ? [SILENT, REFUSED, BROKEN_TLS] : [SILENT, REFUSED];
}
