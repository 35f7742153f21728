import { PrismaPg } from "@prisma/adapter-pg";
import type { Kind } from "./kind.ts";
import { PrismaClient } from "./prisma_client.ts";

/** Longer than a transaction of Prisma may take by default, 5 seconds: a busy machine is slow. */
const TIMEOUT_MS = 60_000;

/** Prisma with its driver adapter for node-postgres. */
export const prisma: Kind = {
  name: "Prisma",
  interactive: true,
  open: (connectionString) => {
    const client = new PrismaClient({ adapter: new PrismaPg({ connectionString }) });
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
