import { MAKE_ROLES, migrate, migrationText } from "../database/migrate.ts";
import { schemaProblem, schemaState } from "../database/schema_state.ts";
import { migrations } from "../database/schema.ts";
import { isOlder, PROGRAM_VERSION, SCHEMA_VERSION } from "../version.ts";
import { type Command, DATABASE_OPTION, EXIT, findDatabases, UsageError, withDatabase } from "./command.ts";

const HAS_APPS = "select exists (select from mailchute.app_role) as has";

/** `migrate`: brings the schema to this program's version. */
export const migrateCommand: Command = {
  name: "migrate",
  usage: "[--dry-run | --sql [--from N]] [--database NAME]",
  summary:
    "bring the schema of every database (or of one) up to date; --dry-run says what is missing; --sql prints it for another migration tool, all of it or what comes after version N",
  options: { "dry-run": { type: "boolean" }, sql: { type: "boolean" }, from: { type: "string" }, ...DATABASE_OPTION },
  async run(context, _words, options) {
    if (options.from !== undefined && !options.sql) {
      throw new UsageError("--from is for --sql: migrate looks itself what the schema lacks");
    }
    if (options.sql) {
      const from = Number(options.from ?? 0);
      // What came after a number that there is not yet would be left out, and the schema called up to date.
      if (!Number.isInteger(from) || from < 0 || from > SCHEMA_VERSION) {
        throw new UsageError(
          `--from takes the version that the schema has, a number up to ${SCHEMA_VERSION} (see mailchute doctor)`,
        );
      }
      context.print(migrationText(from));
      return EXIT.ok;
    }
    const names = typeof options.database === "string"
      ? [options.database]
      : findDatabases(context).map(({ name }) => name);
    let code: number = EXIT.ok;
    let lacksApps = false;
    for (const name of names) {
      code = Math.max(
        code,
        await withDatabase(context, { name, anySchema: true, isForOwner: true }, async (sql, { display }) => {
          const before = await schemaState(sql);
          if (before.oldestProgram !== undefined && isOlder(PROGRAM_VERSION, before.oldestProgram)) {
            context.tell(schemaProblem(before, display) as string);
            return EXIT.failed;
          }
          const pending = migrations().filter(({ version }) => version > before.version);
          if (options["dry-run"]) {
            context.tell(
              `${display}: ${
                pending.length === 0 ? "up to date" : `would apply ${pending.map((each) => each.name).join(", ")}`
              }`,
            );
            context.tell("A DBA runs this part where the role that migrates may not create roles:");
            context.print(MAKE_ROLES);
            return EXIT.ok;
          }
          const applied = await migrate(sql);
          context.tell(`${display}: ${applied.length === 0 ? "up to date" : `applied ${applied.join(", ")}`}`);
          const [row] = await sql.unsafe(HAS_APPS);
          lacksApps ||= row?.has !== true;
          return EXIT.ok;
        }),
      );
    }
    if (lacksApps && code === EXIT.ok) {
      context.tell("Next: mailchute grants ROLE --app NAME --from '*@your.domain', then mailchute run");
    }
    return code;
  },
};
