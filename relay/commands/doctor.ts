import { type Mailbox, mailboxOf } from "../../src/address.ts";
import { MailchuteError } from "../../src/error.ts";
import { uuidv7 } from "../../src/uuid.ts";
import { describeSettings, readSettings, type Settings, SettingsError } from "../config.ts";
import type { ConnectOptions } from "../database/database.ts";
import { fail, type Finding, ok, report, type SubjectFinding, warn } from "../doctor/finding.ts";
import type { RouteUnderTest } from "../doctor/route.ts";
import { checkStateDirectory } from "../doctor/state_directory.ts";
import type { sendTestMail } from "../doctor/test_mail.ts";
import { checkDatabaseCertificates, checkRouteCertificates } from "../settings/certificates.ts";
import { databaseVariable } from "../settings/database_url.ts";
import { describeSafety } from "../settings/safety_settings.ts";
import { ehloName, smtpOptions } from "../settings/smtp_options.ts";
import type { Clock } from "../time/clock.ts";
import {
  type Command,
  type CommandContext,
  EXIT,
  findDatabases,
  JSON_OPTION,
  type Options,
  UsageError,
} from "./command.ts";

/** What `doctor` is given of the machine it runs on. */
export interface DoctorMachine {
  readonly hostname: string;
  readonly clock: Clock;
}

const OPTIONS = {
  ...JSON_OPTION,
  route: { type: "string" },
  "send-to": { type: "string" },
  from: { type: "string" },
} as const;

/** `doctor`: looks at everything that a relay with these settings would need, and says what to change. */
export function doctorCommand(machine: DoctorMachine): Command {
  return {
    name: "doctor",
    usage: "[--send-to ADDRESS [--from ADDRESS]] [--route NAME] [--json]",
    summary:
      "check settings, databases and SMTP servers, and say what to change; --send-to sends a real test mail over every route, or over --route NAME; exit 1 if something fails",
    options: OPTIONS,
    async run(context, _words, options) {
      const findings = await examine(context, { machine, options });
      if (options.json) context.print(JSON.stringify(findings, null, 2));
      else context.print(report(findings));
      const count = (level: Finding["level"]) => findings.filter((finding) => finding.level === level).length;
      const [fails, warns] = [count("fail"), count("warn")];
      context.tell(`${fails} failed, ${warns} to look at, ${findings.length - fails - warns} fine`);
      return fails > 0 ? EXIT.failed : EXIT.ok;
    },
  };
}

async function examine(
  context: CommandContext,
  { machine, options }: { readonly machine: DoctorMachine; readonly options: Options },
): Promise<readonly SubjectFinding[]> {
  const { checkDatabase } = await import("../doctor/database.ts");
  const read = readAll(context);
  const routes = read.settings === undefined ? [] : routesOf(read.settings, { machine, only: options.route });
  const mail = testMailOf(options, read.settings);
  if (mail !== undefined && routes.length === 0 && read.settings !== undefined) {
    throw new UsageError("--send-to needs an SMTP server: set SMTP_URL=smtp://host:25");
  }
  const pollMs = read.settings?.pollMs ?? 5_000;
  const groups = [
    about("settings", Promise.resolve(read.findings)),
    about("this machine", Promise.resolve(read.settings ? checkStateDirectory(read.settings.stateDirectory) : [])),
    ...databasesOf(context, read.settings).map(({ subject, database, findings, isEmbedded }) =>
      about(
        subject,
        database === undefined ? Promise.resolve(findings) : checkDatabase({
          database,
          isEmbedded,
          pollMs,
          clock: machine.clock,
          variable: databaseVariable(database.name),
        }),
      )
    ),
    ...(read.settings?.playground === true
      ? [about("route default", Promise.resolve([ok("playground", "its inbox takes every mail; nothing leaves")]))]
      : []),
    ...routes.map((route) => about(`route ${route.name}`, examineRoute(route, mail))),
  ];
  return (await Promise.all(groups)).flat();
}

async function about(subject: string, found: Promise<readonly Finding[]>): Promise<readonly SubjectFinding[]> {
  return (await found).map((finding) => ({ subject, ...finding }));
}

async function examineRoute(
  route: RouteUnderTest,
  mail: Omit<Parameters<typeof sendTestMail>[1], "id"> | undefined,
): Promise<readonly Finding[]> {
  const { checkRoute } = await import("../doctor/route.ts");
  const findings = await checkRoute(route);
  if (mail === undefined) return findings;
  if (findings.some(({ level }) => level === "fail")) {
    return [...findings, fail("test mail", "not sent: the route is out", "mend the route first")];
  }
  const { sendTestMail } = await import("../doctor/test_mail.ts");
  return [...findings, await sendTestMail(route, { ...mail, id: uuidv7(route.nowMs, crypto.randomUUID()) })];
}

function readAll(context: CommandContext): {
  readonly settings: Settings | undefined;
  readonly findings: readonly Finding[];
} {
  try {
    const settings = readSettings(context.env, context.readFile, { terminal: context.terminal });
    checkDatabaseCertificates(settings.databases);
    checkRouteCertificates(settings.routes);
    const notices = settings.notices.map((notice) => {
      const [found = notice, fix] = notice.split("; ", 2);
      return warn("settings", found, fix ?? "take it out");
    });
    const safety = describeSafety(settings.safety).map((clause) =>
      warn(
        "not production",
        clause,
        "in production remove RELAY_REDIRECT_TO, RELAY_ALLOWED_RECIPIENTS and RELAY_ENVIRONMENT",
      )
    );
    return { settings, findings: [ok("settings", describeSettings(settings)), ...safety, ...notices] };
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    const findings = error.each.map(({ message }) => {
      // Every one of these sentences ends in its fix.
      const at = message.lastIndexOf("; ");
      return fail("settings", message.slice(0, at), message.slice(at + 2));
    });
    return { settings: undefined, findings };
  }
}

interface DatabaseSubject {
  readonly subject: string;
  readonly database: ConnectOptions | undefined;
  /** What is to be said instead, without a database. */
  readonly findings: readonly Finding[];
  readonly isEmbedded: boolean;
}

/** Those that can be read are looked at even when other settings are wrong. */
function databasesOf(context: CommandContext, settings: Settings | undefined): readonly DatabaseSubject[] {
  try {
    return findDatabases(context).map((database) => ({
      subject: `database ${database.name} (${database.display})`,
      database,
      findings: [],
      isEmbedded: database.isEmbedded,
    }));
  } catch (error) {
    if (settings === undefined || !(error instanceof Error)) return [];
    const findings = [warn("connection", "the embedded Postgres has never run here", "start it: mailchute run")];
    return [{ subject: "database home", database: undefined, findings, isEmbedded: true }];
  }
}

function routesOf(
  settings: Settings,
  { machine, only }: { readonly machine: DoctorMachine; readonly only: unknown },
): readonly RouteUnderTest[] {
  const { routes } = settings;
  const wanted = typeof only === "string" ? routes.filter(({ name }) => name === only) : routes;
  if (typeof only === "string" && wanted.length === 0) {
    const names = routes.map(({ name }) => name).join(", ") || "none";
    throw new UsageError(`No route is called ${only}: there are ${names}`);
  }
  return wanted.map(({ name, variable, smtp }) => ({
    ...{ name, variable },
    options: { ehloName: ehloName(machine.hostname), ...smtpOptions(smtp) },
    nowMs: machine.clock.now(),
  }));
}

function testMailOf(
  options: Options,
  settings: Settings | undefined,
): { readonly from: Mailbox; readonly to: Mailbox; readonly returnPath: string | undefined } | undefined {
  const { "send-to": to, from } = options;
  if (typeof to !== "string") {
    if (from !== undefined) throw new UsageError("--from is for a test mail: add --send-to ADDRESS");
    return undefined;
  }
  const sender = typeof from === "string" ? from : settings?.returnPath;
  if (sender === undefined) throw new UsageError("--send-to needs --from ADDRESS, a sender that the server takes");
  return { from: mailbox("--from", sender), to: mailbox("--send-to", to), returnPath: settings?.returnPath };
}

function mailbox(option: string, written: string): Mailbox {
  try {
    return mailboxOf(written, option);
  } catch (error) {
    if (error instanceof MailchuteError) {
      throw new UsageError(`${option} ${written} is no address: write ann@example.com`);
    }
    throw error;
  }
}
