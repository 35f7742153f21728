import postgres, { type Sql } from "postgres";
import type { TestDatabase } from "../database.ts";

/** A node of EXPLAIN's JSON, as far as the guards read it. */
export interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Index Cond"?: string;
  readonly Plans?: readonly PlanNode[];
}

/** How a statement reaches the tables. */
export interface Access {
  /** Names of the indexes that are entered at a key, sorted, each once. */
  readonly indexes: readonly string[];
  /** Tables that are read from one end to the other, by themselves or through an index without a condition. */
  readonly wholeTables: readonly string[];
}

/** Reads a plan: every node of it. */
export function accessOf(plan: PlanNode): Access {
  const indexes = new Set<string>();
  const wholeTables = new Set<string>();
  for (const node of nodesOf(plan)) {
    const { "Node Type": type, "Index Name": index, "Index Cond": condition, "Relation Name": table } = node;
    if (type === "Seq Scan") wholeTables.add(table ?? "?");
    if (index === undefined) continue;
    if (condition === undefined) wholeTables.add(`${table ?? ""} through ${index}`);
    else indexes.add(index);
  }
  return { indexes: [...indexes].sort(), wholeTables: [...wholeTables].sort() };
}

function nodesOf(plan: PlanNode): readonly PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];
}

/** A connection that plans as after long use (generic plans) and takes an index wherever there is one. */
export function planningConnection(database: TestDatabase): Sql & AsyncDisposable {
  const sql = postgres(database.url, {
    max: 1,
    onnotice: () => {},
    connection: { enable_seqscan: "off", plan_cache_mode: "force_generic_plan" },
  });
  return Object.assign(sql, { [Symbol.asyncDispose]: () => sql.end({ timeout: 1 }) });
}

/** The access paths of a statement with parameters. `values` are SQL literals. */
export async function explain(sql: Sql, statement: string, values: readonly string[]): Promise<Access> {
  await sql.unsafe(`prepare guarded as ${statement}`);
  const execute = values.length === 0 ? "execute guarded" : `execute guarded (${values.join(", ")})`;
  const [row] = await sql.unsafe(`explain (format json) ${execute}`);
  await sql.unsafe("deallocate guarded");
  const [{ Plan }] = row?.["QUERY PLAN"] as readonly [{ readonly Plan: PlanNode }];
  return accessOf(Plan);
}

/** One statement that a function of the schema ran, with its access paths. */
export interface NestedStatement extends Access {
  readonly text: string;
  readonly plan: PlanNode;
}

/**
 * Runs a statement and answers with what auto_explain saw inside of it: the real plans of the functions' own
 * statements.
 *
 * @param options `isAnalyzed`: with the rows that each node has handled
 */
export async function explainInside(
  database: TestDatabase,
  statement: string,
  options: { readonly isAnalyzed?: boolean } = {},
): Promise<readonly NestedStatement[]> {
  const { isAnalyzed = false } = options;
  const seen: NestedStatement[] = [];
  const sql = postgres(database.url, {
    max: 1,
    onnotice: ({ message }) => {
      const start = message?.indexOf("{") ?? -1;
      if (message === undefined || start < 0 || !message.includes("plan:")) return;
      const explained = JSON.parse(message.slice(start)) as { readonly "Query Text": string; readonly Plan: PlanNode };
      seen.push({ text: explained["Query Text"].trim(), plan: explained.Plan, ...accessOf(explained.Plan) });
    },
  });
  try {
    await sql.unsafe("load 'auto_explain'");
    for (
      const [name, value] of [
        ["auto_explain.log_min_duration", "0"],
        ["auto_explain.log_nested_statements", "on"],
        ["auto_explain.log_format", "json"],
        ["auto_explain.log_level", "notice"],
        ["auto_explain.log_analyze", String(isAnalyzed)],
        // Who looks at the work wants the plan that would be taken; who looks at the ways, an index wherever there is
        // one.
        ["enable_seqscan", String(isAnalyzed)],
        ["plan_cache_mode", "force_generic_plan"],
      ]
    ) await sql.unsafe(`set ${name} = ${value}`);
    await sql.unsafe(statement).simple();
  } finally {
    await sql.end({ timeout: 1 });
  }
  return seen;
}
