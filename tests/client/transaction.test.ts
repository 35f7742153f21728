import { Client as NeonClient, neon, Pool as NeonPool } from "@neondatabase/serverless";
import { PrismaPg } from "@prisma/adapter-pg";
import { SQL } from "bun";
import { expect, test } from "bun:test";
import { drizzle as drizzleBun } from "drizzle-orm/bun-sql";
import { drizzle as drizzleHttp } from "drizzle-orm/neon-http";
import { drizzle as drizzlePg } from "drizzle-orm/node-postgres";
import { drizzle as drizzlePostgres } from "drizzle-orm/postgres-js";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import postgres from "postgres";
import { DataSource } from "typeorm";
import { createMailer } from "../../mod.ts";
import { type Connection, driverOf } from "../../src/connection.ts";
import { createDatabase } from "../database.ts";
import { rejects } from "./cases.ts";
import { PrismaClient } from "./kinds/prisma_client.ts";
import { MESSAGE } from "./offline.ts";

// What is given as `tx` is a transaction, or may be one.

const DATABASE = "postgres://a:b@db.example/x";
const source = new DataSource({ type: "postgres", url: DATABASE });

/** Nothing here connects: what is opened at the first query is refused before it. */
const ROOTS: Readonly<Record<string, Connection>> = {
  "postgres.js": postgres(DATABASE),
  "Bun.SQL": new SQL(DATABASE),
  "a pool of pg": new pg.Pool(),
  "Neon over HTTP": neon(DATABASE),
  "a pool of Neon": new NeonPool({ connectionString: DATABASE }),
  "Drizzle on postgres.js": drizzlePostgres({ client: postgres(DATABASE) }),
  "Drizzle on Bun.SQL": drizzleBun({ client: new SQL(DATABASE) }),
  "Drizzle on a pool": drizzlePg({ client: new pg.Pool() }),
  "Drizzle on Neon over HTTP": drizzleHttp({ client: neon(DATABASE) }),
  "Kysely": new Kysely<unknown>({ dialect: new PostgresDialect({ pool: new pg.Pool() }) }),
  "Prisma": new PrismaClient({ adapter: new PrismaPg({}) }),
  "TypeORM's DataSource": source,
  "TypeORM's EntityManager of no transaction": source.manager,
};

for (const [name, root] of Object.entries(ROOTS)) {
  test(`${name} is refused as tx, and the error names what to pass`, async () => {
    const error = await rejects(createMailer(root).send(MESSAGE, { tx: root }), "transaction_required");
    for (const fix of ["begin()", "transaction()", "client", "mail.statement"]) expect(error.message).toContain(fix);
  });
}

/** An app may have begun a transaction on these by hand. */
const SINGLE: Readonly<Record<string, Connection>> = {
  "a client of pg": new pg.Client(),
  "a client of Neon": new NeonClient(DATABASE),
  "Drizzle on a client": drizzlePg({ client: new pg.Client() }),
  "a QueryRunner of TypeORM": source.createQueryRunner(),
  "the EntityManager of a QueryRunner": source.createEntityManager(source.createQueryRunner()),
  "an app's own object around a client": { query: () => {}, transaction: () => {} } as Connection,
};

for (const [name, connection] of Object.entries(SINGLE)) {
  test(`${name} is taken as tx, since it may be in a transaction`, () => {
    expect(driverOf(connection, "tx").isRoot).toBeFalsy();
  });
}

test("what postgres.js and Bun.SQL reserve is taken as tx, since it may be in a transaction", async () => {
  await using db = await createDatabase();
  for (const sql of [postgres(db.url), new SQL(db.url)]) {
    const reserved = await sql.reserve();
    expect(driverOf(reserved, "tx").isRoot).toBe(false);
    reserved.release();
    await sql.end();
  }
});

test("tables of Prisma that are called like our methods are no methods", () => {
  const tx = { $queryRawUnsafe: () => {}, query: {}, execute: {}, transaction: {}, begin: {}, unsafe: {} };
  expect(driverOf(tx, "tx").isRoot).toBe(false);
});

test("Neon over HTTP has a limit of its own, under Drizzle too, and no other has", () => {
  const limited = Object.entries(ROOTS).filter(([, root]) => driverOf(root, "db").isNeonHttp).map(([name]) => name);
  expect(limited).toEqual(["Neon over HTTP", "Drizzle on Neon over HTTP"]);
});
