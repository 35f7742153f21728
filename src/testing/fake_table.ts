/** Rows by their keys, in the order of their coming; a transaction has a copy until it commits. */
export class FakeTable<Row> {
  readonly #rows: Map<string, Row>;
  readonly #begun: ReadonlyMap<string, Row>;

  constructor(rows: ReadonlyMap<string, Row> = new Map()) {
    this.#rows = new Map(rows);
    this.#begun = rows;
  }

  get(key: string): Row | undefined {
    return this.#rows.get(key);
  }

  set(key: string, row: Row): void {
    this.#rows.set(key, row);
  }

  delete(key: string): boolean {
    return this.#rows.delete(key);
  }

  all(): readonly Row[] {
    return [...this.#rows.values()];
  }

  clear(): void {
    this.#rows.clear();
  }

  /** The copy of a transaction. */
  begin(): FakeTable<Row> {
    return new FakeTable(new Map(this.#rows));
  }

  /** Takes over what a transaction has changed. Rows are never changed in place, so another row is a change. */
  commit(transaction: FakeTable<Row>): void {
    for (const [key, row] of transaction.#rows) if (transaction.#begun.get(key) !== row) this.#rows.set(key, row);
    for (const key of transaction.#begun.keys()) if (!transaction.#rows.has(key)) this.#rows.delete(key);
  }
}
