import { neonConfig } from "@neondatabase/serverless";
import { PrismaNeon } from "@prisma/adapter-neon";
import { PrismaPg } from "@prisma/adapter-pg";
import type { NeonTarget } from "../../neon_target.ts";
import type { Kind } from "./kind.ts";
import { PrismaClient } from "./prisma_client.ts";

/** Longer than a transaction of Prisma may take by default, 5 seconds: a busy machine is slow. */
const TIMEOUT_MS = 60_000;

/** Prisma with its driver adapter for node-postgres. */
export const prisma: Kind = prismaKind("Prisma", (connectionString) => new PrismaPg({ connectionString }));

/** Prisma with its driver adapter for Neon, over a WebSocket. */
export const prismaNeon: Kind = prismaKind("Prisma on Neon", (connectionString, standin) => {
  standin.configure(neonConfig);
  return new PrismaNeon({ connectionString });
});

function prismaKind(name: string, adapt: (url: string, standin: NeonTarget) => PrismaPg | PrismaNeon): Kind {
  return {
    name,
    interactive: true,
    open: (url, standin) => {
      const client = new PrismaClient({ adapter: adapt(url, standin) });
      return Promise.resolve({
        connection: client,
        transaction: (work) =>
          client.$transaction(
            (tx) => work(tx, async (text, values) => await tx.$queryRawUnsafe(text, ...values)),
            { timeout: TIMEOUT_MS },
          ),
        [Symbol.asyncDispose]: () => client.$disconnect(),
      });
    },
  };
}
