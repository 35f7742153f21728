import type { Rows, Statements } from "../../relay/database/statements.ts";
import { SuppressionCopier } from "../../relay/suppression/copier.ts";
import { SuppressionHome } from "../../relay/suppression/home.ts";
import { saveSuppressions } from "../../relay/suppression/table.ts";
import { systemClock } from "../../relay/time/clock.ts";
import type { TestDatabase } from "../database.ts";

/** What a copier asks of a database passes here: counted, and refused when a test says so. */
export class Wire implements Statements {
  readonly asked: string[] = [];
  /** Called before each statement; throws when the database is away. */
  before: (text: string) => void = () => {};
  readonly #sql: TestDatabase["sql"];

  constructor({ sql }: Pick<TestDatabase, "sql">) {
    this.#sql = sql;
  }

  async unsafe(...[text, values, options]: Parameters<Statements["unsafe"]>): Promise<Rows> {
    this.before(text);
    this.asked.push(text);
    return await this.#sql.unsafe(text, values, options);
  }

  get pages(): number {
    return this.asked.filter((text) => text.includes("update mailchute.suppression_copy")).length;
  }
}

/** A copier, what it has asked and what it has said. */
export interface TestCopier {
  readonly home: Wire;
  readonly target: Wire;
  readonly said: readonly string[];
  /** Copies what is new. */
  readonly look: () => Promise<boolean>;
}

/** A copier as a relay has one, from one database to another. */
export function copier(home: Pick<TestDatabase, "sql">, target: Pick<TestDatabase, "sql">): TestCopier {
  const wires = { home: new Wire(home), target: new Wire(target) };
  const said: string[] = [];
  const copies = new SuppressionCopier({
    ...{ home: new SuppressionHome({ sql: wires.home, display: "db.example.com/home" }), sql: wires.target },
    ...{ isLeftAlone: () => false, pollMs: 5_000, clock: systemClock },
    log: {
      info: (what) => void said.push(what),
      warn: (what, { error } = {}) => void said.push(`${what} ${(error as Error).message}`),
      debug: () => {},
    },
  });
  return { ...wires, said, look: () => copies.look({ rang: true }) };
}

/** Puts an address on the list of all. */
export async function suppress(sql: TestDatabase["sql"], address: string, reason = "manual"): Promise<void> {
  await saveSuppressions(sql, [{ address, scope: "all", reason, until: undefined, createdAt: undefined }]);
}

/** The list as lines, those of scope `all` that stand here as a copy. */
export async function copied({ sql }: TestDatabase): Promise<readonly string[]> {
  const rows = await sql`
    select address, reason from mailchute.suppression where origin <> 'here' and scope = 'all' order by address collate "C"`;
  return rows.map(({ address, reason }) => `${address} ${reason}`);
}
