import { type Issue, MailchuteError, type MailchuteErrorCode } from "./error.ts";

const NOT_MIGRATED = [
  "not_migrated",
  "the schema is missing or too old: run `mailchute migrate` as the database's owner",
] as const;
const GRANT = "for this role: an administrator allows it with `mailchute grants`";

/** What a SQLSTATE means for the app. The texts hold no value of the query: the driver's error, as the cause, may. */
const MEANINGS: Readonly<Record<string, readonly [code: MailchuteErrorCode, because: string]>> = {
  MC001: ["validation_error", "the database refused it"],
  MC002: ["sender_not_allowed", `the sender is not allowed ${GRANT}`],
  MC003: ["recipient_not_allowed", `a recipient is not allowed ${GRANT}`],
  MC004: ["idempotency_conflict", "its idempotency key or batch was used for another mail: use a new one"],
  MC005: ["queue_full", "the queue is full: try again later"],
  MC006: ["override_not_allowed", `overrideSuppression is not allowed ${GRANT} with --may-override-suppression`],
  // No such function, schema, table.
  42883: NOT_MIGRATED,
  "3F000": NOT_MIGRATED,
  "42P01": NOT_MIGRATED,
  42501: ["permission_denied", `it is not allowed ${GRANT}`],
};

/** Turns what a driver threw into one of our errors, with the driver's as its cause. */
export function refusalOf(error: unknown, what: string): MailchuteError {
  if (error instanceof MailchuteError) return error;
  const { code: state = "", detail } = withSqlState(error);
  const issues = state.startsWith("MC") ? issuesOf(detail) : [];
  const [code, because] = MEANINGS[state] ??
    // The only place that looks at words: for a request beyond its limit Neon gives no code but this, in the message.
    (/HTTP status 413/.test(String(error))
      ? ["too_large", "Neon takes no such request over HTTP: a Pool or postgres.js has no such limit"]
      : ["database_error", `the database or the connection failed${state && ` (${state})`}: see cause`]) satisfies [
        MailchuteErrorCode,
        string,
      ];
  // What our own checks say is ours to repeat; it holds no value.
  const [first] = issues;
  const reason = first ? `${first.path}: ${state === "MC001" ? first.message : because}` : because;
  return new MailchuteError(code, `${what}: ${reason}`, { issues, cause: error });
}

/** Finds the error that has a SQLSTATE: ORMs wrap the driver's, Prisma's with a code of its own that looks like one. */
function withSqlState(error: unknown, depth = 0): { readonly code?: string; readonly detail?: unknown } {
  // Bun.SQL has it as `errno`.
  const { code, errno, originalCode, detail, cause, meta } = Object(error);
  const inner = depth < 5 ? withSqlState(cause ?? meta?.driverAdapterError ?? meta, depth + 1) : {};
  const own = [originalCode, errno, code].find((state) => /^[\dA-Z]{5}$/.test(state));
  return inner.code ? inner : { code: own, detail };
}

function issuesOf(detail: unknown): readonly Issue[] {
  try {
    return JSON.parse(String(detail)).map(({ path, message }: Issue) => ({ path, message }));
  } catch {
    // A refusal without issues: the role has no app.
    return [];
  }
}
