import postgres, { type Sql } from "postgres";
import type { Statements } from "../../relay/database/statements.ts";
import type { TestDatabase } from "../database.ts";

/** What EXPLAIN's JSON tells of a node that has run. */
export interface WorkedNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Actual Rows"?: number;
  readonly "Actual Loops"?: number;
  readonly "Rows Removed by Filter"?: number;
  readonly "Rows Removed by Join Filter"?: number;
  readonly "Rows Removed by Index Recheck"?: number;
  readonly Plans?: readonly WorkedNode[];
}

/** Tables that grow with the mail. */
const LARGE = ["attachment", "attempt", "content", "message", "queue", "recipient"];

/**
 * What is wrong with a plan that should handle few rows: a large table is read as a whole, or a node (a scan, sort,
 * hash or join) has seen more than `most`.
 */
export function excessOf(node: WorkedNode, most: number): readonly string[] {
  const { "Node Type": type, "Relation Name": table, "Index Name": index } = node;
  const removed = (["Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck"] as const)
    .reduce((sum, name) => sum + (node[name] ?? 0), 0);
  const rows = Math.round(((node["Actual Rows"] ?? 0) + removed) * (node["Actual Loops"] ?? 1));
  const where = [type, index ?? table ?? ""].join(" ").trim();
  return [
    ...(type === "Seq Scan" && LARGE.includes(table ?? "") ? [`reads ${table} from one end to the other`] : []),
    ...(rows > most ? [`${where} handles ${rows} rows`] : []),
    ...(node.Plans ?? []).flatMap((child) => excessOf(child, most)),
  ];
}

/** A connection that plans as after long use: for no values in particular. */
export function genericConnection(database: TestDatabase): Sql & AsyncDisposable {
  const sql = postgres(database.url, {
    max: 1,
    onnotice: () => {},
    connection: { plan_cache_mode: "force_generic_plan" },
  });
  return Object.assign(sql, { [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }) });
}

/** Runs statements, and hands on the plan that each of them had, once it has been seen at work. */
export function explained(sql: Sql, onPlan: (text: string, plan: WorkedNode) => void): Statements {
  return {
    unsafe: async (text, values = []) => {
      const literals = values.map(literal).join(", ");
      await sql.unsafe(`prepare worked as ${text}`);
      await sql.unsafe("begin");
      const [row] = await sql.unsafe(
        `explain (analyze, format json) execute worked ${values.length === 0 ? "" : `(${literals})`}`,
      );
      await sql.unsafe("rollback; deallocate worked").simple();
      const [{ Plan }] = row?.["QUERY PLAN"] as readonly [{ readonly Plan: WorkedNode }];
      onPlan(text, Plan);
      return await sql.unsafe(text, values, { prepare: true });
    },
  };
}

function literal(value: string | number | boolean | null): string {
  return typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value);
}
