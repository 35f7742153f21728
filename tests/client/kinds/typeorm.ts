import { DataSource } from "typeorm";
import type { Kind, OpenKind } from "./kind.ts";

function typeormKind(name: string, transactionOf: (source: DataSource) => OpenKind["transaction"]): Kind {
  return {
    name,
    interactive: true,
    open: async (url) => {
      const source = new DataSource({ type: "postgres", url, poolErrorHandler: () => {} });
      await source.initialize();
      return {
        connection: source,
        transaction: transactionOf(source),
        [Symbol.asyncDispose]: () => source.destroy(),
      };
    },
  };
}

/** TypeORM, with the EntityManager of a transaction. */
export const typeormManager: Kind = typeormKind(
  "TypeORM EntityManager",
  (source) => (work) => source.transaction((manager) => work(manager, (text, values) => manager.query(text, values))),
);

/** TypeORM, with a QueryRunner. */
export const typeormRunner: Kind = typeormKind("TypeORM QueryRunner", (source) => async (work) => {
  const runner = source.createQueryRunner();
  await runner.startTransaction();
  try {
    const result = await work(runner, (text, values) => runner.query(text, values));
    await runner.commitTransaction();
    return result;
  } catch (error) {
    await runner.rollbackTransaction();
    throw error;
  } finally {
    await runner.release();
  }
});
