import type { DatabaseUnderTest } from "./database.ts";
import { type Finding, inDatabase, ok, warn } from "./finding.ts";

const APPS = `
select a.name, to_jsonb(a.senders) as senders, to_jsonb(a.recipients) as recipients, a.may_override_suppression as "mayOverride", to_jsonb(array(
  select r.role::text from mailchute.app_role r join pg_roles p on p.rolname = r.role where r.app = a.name order by 1)) as roles
from mailchute.app a order by a.name`;

const MOST_SHOWN = 10;

/** Who may send, and whether under any address: behind the relay stands a server that trusts it. */
export async function checkApps({ sql, database }: DatabaseUnderTest): Promise<readonly Finding[]> {
  const apps = await sql.unsafe(APPS) as unknown as readonly App[];
  if (apps.length === 0) {
    const fix = `let the owner of the database run: mailchute grants ROLE --app NAME --from '*@example.com'${
      inDatabase(database)
    }`;
    return [warn("apps", "none: no role may send but the owner", fix)];
  }
  const findings: Finding[] = [];
  for (const app of apps) {
    const { name, senders, roles } = app;
    // What was granted before is replaced: the command says again what is to stay.
    const grants = (sender: string) =>
      `mailchute grants ${roles[0] ?? "ROLE"} --app ${name} --from '${sender}'${kept(app)}${inDatabase(database)}`;
    if (senders.includes("*")) {
      const fix = `name its addresses: ${grants("*@example.com")}`;
      findings.push(warn("apps", `${name} may send under any address`, fix));
    }
    if (roles.length === 0) {
      findings.push(warn(
        "apps",
        `${name} has no role, so nobody sends for it`,
        grants(senders.join("' --from '")),
      ));
    }
  }
  if (findings.length > 0) return findings;
  const shown = apps.slice(0, MOST_SHOWN).map(({ name, senders, mayOverride }) =>
    `${name} (${senders.join(", ")}${mayOverride ? ", also past the suppression list" : ""})`
  ).join("; ");
  const more = apps.length > MOST_SHOWN ? ` and ${apps.length - MOST_SHOWN} more` : "";
  return [ok("apps", `${shown}${more}`)];
}

function kept({ recipients, mayOverride }: App): string {
  const to = (recipients ?? []).map((pattern) => ` --to '${pattern}'`).join("");
  return `${to}${mayOverride ? " --may-override-suppression" : ""}`;
}

interface App {
  readonly name: string;
  readonly senders: readonly string[];
  readonly recipients: readonly string[] | null;
  readonly roles: readonly string[];
  readonly mayOverride: boolean;
}
