import { ROLES } from "../database/schema.ts";
import { type Command, DATABASE_OPTION, EXIT, UsageError, withDatabase } from "./command.ts";

const APP = `
select to_jsonb(senders) as senders, to_jsonb(recipients) as recipients, may_override_suppression as "mayOverride" from mailchute.app where name = $1`;

const SAVE_APP = `
insert into mailchute.app (name, senders, recipients, may_override_suppression) values ($1, array(select jsonb_array_elements_text($2::text::jsonb)),
  case when $3::text is null then null else array(select jsonb_array_elements_text($3::text::jsonb)) end, $4)
on conflict (name) do update set senders = excluded.senders, recipients = excluded.recipients, may_override_suppression = excluded.may_override_suppression`;

const APP_OF_ROLE = "select app from mailchute.app_role where role = $1 for update";

const SAVE_ROLE =
  `insert into mailchute.app_role (role, app) values ($1, $2) on conflict (role) do update set app = excluded.app`;

/** `grants`: lets a database role enqueue for an app, under its own sender addresses. */
export const grantsCommand: Command = {
  name: "grants",
  usage: "ROLE --from PATTERN… [--app NAME] [--to PATTERN…] [--may-override-suppression] [--database NAME]",
  summary:
    "let a database role enqueue for an app, as these senders (and to these recipients only); what it was granted before, this replaces. Without --app it is the app that the role has already, or else one of the role's name. --may-override-suppression lets a mail of the app ask to go to an address that is suppressed as unsubscribe or manual, for what must go",
  options: {
    app: { type: "string" },
    from: { type: "string", multiple: true },
    to: { type: "string", multiple: true },
    "may-override-suppression": { type: "boolean" },
    ...DATABASE_OPTION,
  },
  async run(context, words, options) {
    const [role] = words;
    if (role === undefined || words.length > 1) {
      throw new UsageError("grants takes one role: mailchute grants ROLE --from '*@your.domain'");
    }
    const senders = patterns("--from", options.from);
    if (senders.length === 0) throw new UsageError("grants needs --from: a sender address, or '*@your.domain', or '*'");
    const recipients = patterns("--to", options.to);
    const mayOverride = options["may-override-suppression"] === true;
    const named = typeof options.app === "string" ? options.app : undefined;
    if (named !== undefined) checkAppName(named, "--app");
    return await withDatabase(context, { name: options.database, isForOwner: true }, async (sql, { display }) => {
      const [known] = await sql`select from pg_roles where rolname = ${role}`;
      if (!known) {
        context.tell(
          `Role ${role} does not exist on ${display}: create it first: create role "${role}" login password '…'`,
        );
        return EXIT.failed;
      }
      const { app, moved, before } = await sql.begin(async (tx) => {
        const [current] = await tx.unsafe(APP_OF_ROLE, [role]);
        const app = named ?? current?.app as string | undefined ?? appOfNewRole(role);
        const [found] = await tx.unsafe(APP, [app]);
        await tx.unsafe(SAVE_APP, [
          app,
          JSON.stringify(senders),
          recipients.length > 0 ? JSON.stringify(recipients) : null,
          mayOverride,
        ]);
        await tx.unsafe(SAVE_ROLE, [role, app]);
        const [owner] = await tx`select nspowner::regrole::text as name from pg_namespace where nspname = 'mailchute'`;
        await tx.unsafe(`set local role ${owner?.name}`).simple();
        // Not membership in mailchute_client: that would take a right on the role, which the owner of a database may
        // lack.
        await tx.unsafe(ROLES).simple();
        return {
          app,
          moved: current === undefined || current.app === app ? undefined : current.app as string,
          before: found === undefined ? undefined : flagsOf(found as unknown as Granted),
        };
      });
      const to = recipients.length > 0 ? ` to ${recipients.join(", ")}` : "";
      const more = mayOverride ? ", also past the suppression list where a mail asks for it" : "";
      context.tell(
        `Role ${role} on ${display} may now enqueue for the app ${app} as ${senders.join(", ")}${to}${more}.`,
      );
      if (moved !== undefined) {
        context.tell(`Before, the role enqueued for the app ${moved}: it sees the mail of that app no more.`);
      }
      if (before !== undefined && before !== flagsOf({ senders, recipients, mayOverride })) {
        context.tell(`Before, the app ${app} had ${before}: what is not named anew is gone.`);
      }
      return EXIT.ok;
    });
  },
};

function appOfNewRole(role: string): string {
  checkAppName(role, "The role");
  return role;
}

/** @param what said about it in the error */
function checkAppName(name: string, what: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name)) return;
  throw new UsageError(
    `${what} ${name} is no name of an app: letters, digits and _ . - (at most 63); --app NAME gives one that is`,
  );
}

interface Granted {
  readonly senders: readonly string[];
  readonly recipients: readonly string[] | null;
  readonly mayOverride: boolean;
}

/** What was granted, as one would write it. */
function flagsOf({ senders, recipients, mayOverride }: Granted): string {
  const flags = [...senders.map((it) => `--from '${it}'`), ...(recipients ?? []).map((it) => `--to '${it}'`)];
  return [...flags, ...(mayOverride ? ["--may-override-suppression"] : [])].join(" ");
}

function patterns(option: string, given: unknown): readonly string[] {
  const list = (Array.isArray(given) ? given : []) as readonly string[];
  for (const pattern of list) {
    if (!/^[^\s<>,;"]+$/.test(pattern) || (pattern !== "*" && !pattern.includes("@"))) {
      throw new UsageError(
        `${option} ${pattern} is no address pattern: write ann@shop.example, '*@shop.example' or '*'`,
      );
    }
  }
  return list;
}
