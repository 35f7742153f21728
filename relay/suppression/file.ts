import { parseAddress } from "../../src/address.ts";
import { suppressionReason } from "../../src/suppression.ts";
import { CsvFault, csvLine, CsvReader, type CsvRow } from "../csv.ts";
import { scopeFault } from "./scope.ts";
import type { StoredSuppression, SuppressionRow } from "./table.ts";

// The suppression list as a CSV file with a header: read piece by piece, so that its length does not matter.

/** The columns that are written. */
export const HEADER = ["address", "scope", "reason", "until", "created_at", "created_by"] as const;

/** Names that other programs give to a column. */
const ALIASES: Readonly<Record<string, string>> = { email: "address", created: "created_at", createdat: "created_at" };

/** What a file leaves open, or is not asked for. */
export interface FileDefaults {
  /** Instead of the column; undefined: the column, and where it has nothing, what is there already, or `manual`. */
  readonly reason: string | undefined;
  /** Instead of the column; undefined: the column, and `all` where it has nothing. */
  readonly scope: string | undefined;
  /** Instead of the column; undefined: the column. */
  readonly until: Date | undefined;
}

/** A line of the file that names nobody to suppress. */
export interface LineFault {
  readonly line: number;
  readonly message: string;
}

/** The rows of one piece of the file, and its faults. */
export interface FilePart {
  readonly rows: readonly SuppressionRow[];
  readonly faults: readonly LineFault[];
}

/** Reads a file. @throws {CsvFault} for a file that is no CSV in UTF-8, or has no column `address` */
export async function* readSuppressions(
  bytes: AsyncIterable<Uint8Array>,
  defaults: FileDefaults,
): AsyncGenerator<FilePart> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const reader = new CsvReader();
  let columns: Columns | undefined;
  const part = (rows: readonly CsvRow[]): FilePart => {
    const [first, ...rest] = rows;
    if (first === undefined) return { rows: [], faults: [] };
    const isHeader = columns === undefined;
    columns ??= columnsOf(first);
    return judge(isHeader ? rest : rows, columns, defaults);
  };
  for await (const piece of bytes) yield part(reader.push(decode(decoder, piece)));
  yield part([...reader.push(decode(decoder, undefined)), ...reader.end()]);
  if (columns === undefined) {
    throw new CsvFault("the file is empty: its first line names the columns, such as address,reason");
  }
}

/** Writes one row. */
export function suppressionLine({ address, scope, reason, until, createdAt, createdBy }: StoredSuppression): string {
  return csvLine([address, scope, reason, until?.toISOString() ?? "", createdAt.toISOString(), createdBy]);
}

type Columns = Readonly<Record<"address" | "scope" | "reason" | "until" | "created_at", number>>;

function decode(decoder: TextDecoder, piece: Uint8Array | undefined): string {
  try {
    return piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true });
  } catch {
    throw new CsvFault("the file is not in UTF-8");
  }
}

function columnsOf({ cells }: CsvRow): Columns {
  const names = cells.map((cell) => {
    const name = cell.trim().toLowerCase();
    return ALIASES[name] ?? name;
  });
  const columns = {
    ...{ address: names.indexOf("address"), scope: names.indexOf("scope"), reason: names.indexOf("reason") },
    ...{ until: names.indexOf("until"), created_at: names.indexOf("created_at") },
  };
  if (columns.address !== -1) return columns;
  throw new CsvFault(`the first line names no column address (or email): it has ${cells.slice(0, 20).join(", ")}`);
}

function judge(lines: readonly CsvRow[], columns: Columns, defaults: FileDefaults): FilePart {
  const rows: SuppressionRow[] = [];
  const faults: LineFault[] = [];
  for (const { line, cells } of lines) {
    const result = rowOf(cells, columns, defaults);
    if (typeof result === "string") faults.push({ line, message: result });
    else rows.push(result);
  }
  return { rows, faults };
}

/** A row, or what is wrong with it. */
function rowOf(cells: readonly string[], columns: Columns, defaults: FileDefaults): SuppressionRow | string {
  const cell = (name: keyof Columns) => cells[columns[name]]?.trim() ?? "";
  const parsed = parseAddress(cell("address"));
  if (!parsed.ok) return `${JSON.stringify(cell("address"))} is no mail address`;
  const reason = defaults.reason ?? (cell("reason") || undefined);
  let fault: string | undefined;
  suppressionReason(reason ?? "manual", (message) => void (fault = message));
  if (reason !== undefined && fault !== undefined) {
    return `the reason ${
      JSON.stringify(reason.slice(0, 80))
    } is none of manual, bounce, complaint and unsubscribe: --reason gives one for all`;
  }
  const scope = defaults.scope ?? (cell("scope") || "all");
  const wrong = scopeFault(scope);
  if (wrong !== undefined) return wrong;
  const times = [["until", cell("until")], ["created_at", cell("created_at")]] as const;
  const bad = times.find(([, text]) => text !== "" && Number.isNaN(Date.parse(text)));
  if (bad !== undefined) return `${bad[0]} ${JSON.stringify(bad[1])} is no time such as 2026-11-21T12:00:00Z`;
  const [until, createdAt] = times.map(([, text]) => text === "" ? undefined : new Date(text));
  return { address: parsed.mailbox.email, scope, reason, until: defaults.until ?? until, createdAt };
}
