import type { PrismaNeon } from "@prisma/adapter-neon";
import type { PrismaPg } from "@prisma/adapter-pg";
import { getPrismaClient, type GetPrismaClientConfig } from "@prisma/client/runtime/client";

// What `prisma generate` writes for a schema without models. Written out, since the generator brings 135 packages and
// downloads an engine.

/** What Prisma's generated client has for everybody, and an app's own has beside its models. */
export interface PrismaClient {
  $connect(): Promise<void>;
  $disconnect(): Promise<void>;
  $queryRawUnsafe(query: string, ...values: unknown[]): PromiseLike<unknown>;
  $transaction<T>(work: (tx: PrismaTransaction) => Promise<T>, options?: { readonly timeout: number }): Promise<T>;
  $transaction(queries: readonly PromiseLike<unknown>[]): Promise<readonly unknown[]>;
}

/** What an interactive transaction hands out. */
export type PrismaTransaction = Omit<PrismaClient, "$connect" | "$disconnect">;

const config: GetPrismaClientConfig = {
  previewFeatures: [],
  clientVersion: "7.10.0",
  engineVersion: "0edf323efd1d98336f3f0a68684b56f689b900d3",
  activeProvider: "postgresql",
  inlineSchema:
    'generator client {\n  provider = "prisma-client"\n}\n\ndatasource db {\n  provider = "postgresql"\n}\n',
  runtimeDataModel: { models: {}, enums: {}, types: {} },
  parameterizationSchema: { strings: [], graph: "AAAA" },
  compilerWasm: {
    // @ts-expect-error Prisma gives these two no types.
    getRuntime: () => import("@prisma/client/runtime/query_compiler_fast_bg.postgresql.mjs"),
    getQueryCompilerWasmModule: async () => {
      // @ts-expect-error See above.
      const { wasm } = await import("@prisma/client/runtime/query_compiler_fast_bg.postgresql.wasm-base64.mjs");
      return new WebAssembly.Module(Uint8Array.from(atob(wasm), (char) => char.charCodeAt(0)));
    },
    importName: "./query_compiler_fast_bg.js",
  },
};

/** The generated class. */
export const PrismaClient: new (options: { readonly adapter: PrismaPg | PrismaNeon }) => PrismaClient = getPrismaClient(
  config,
);
