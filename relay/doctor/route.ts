import type { Phase, RouteTrouble } from "../delivery/transport.ts";
import { adviceOnTrouble, type RouteFacts } from "../smtp/advice.ts";
import type { Capabilities } from "../smtp/capability.ts";
import { DEFAULT_DEADLINES } from "../smtp/deadline.ts";
import { probe, probeCertificate, type ProbeReport } from "../smtp/probe.ts";
import { routeFacts, type SmtpOptions } from "../smtp/smtp.ts";
import { checkCertificate, describeCertificate } from "./certificate.ts";
import { fail, type Finding, ok, span, warn } from "./finding.ts";
import { checkHostName } from "./host_name.ts";

/** A configured SMTP server. */
export interface RouteUnderTest {
  readonly name: string;
  /** The setting that names it, such as `SMTP_URL`. */
  readonly variable: string;
  readonly options: SmtpOptions;
  readonly nowMs: number;
}

/** A person waits for the answer: less patient than the relay is. */
const PATIENCE_MS = 15_000;

/** Speaks with a server up to the login, as the relay would. */
export async function checkRoute(route: RouteUnderTest): Promise<readonly Finding[]> {
  const { variable } = route;
  const options = impatient(route.options);
  const facts = routeFacts(options);
  const name = await checkHostName(facts);
  const findings = name.level === "fail" ? [name] : [name, ...await speak(options, { facts, nowMs: route.nowMs })];
  return findings.map((finding) =>
    finding.fix === undefined ? finding : { ...finding, fix: finding.fix.replaceAll(/\bSMTP_URL\b/g, variable) }
  );
}

/** The same server, with no wait longer than a person's patience. */
export function impatient(options: SmtpOptions): SmtpOptions {
  const { timeouts = {} } = options;
  const all = { ...DEFAULT_DEADLINES, ...timeouts };
  const shorter = Object.entries(all).map(([wait, ms]) => [wait, Math.min(ms, PATIENCE_MS)]);
  return { ...options, timeouts: { ...Object.fromEntries(shorter), finalMs: all.finalMs } };
}

async function speak(
  options: SmtpOptions,
  { facts, nowMs }: { readonly facts: RouteFacts; readonly nowMs: number },
): Promise<readonly Finding[]> {
  const report = await probe(options);
  const { trouble } = report;
  const failedAt = trouble === undefined ? STEPS.length : STEPS.indexOf(stepOf(trouble));
  const findings: Finding[] = [];
  const reached = (step: Step) => STEPS.indexOf(step) < failedAt;
  if (reached("connection")) findings.push(ok("connection", `${facts.host} port ${facts.port} answers`));
  if (reached("banner")) {
    findings.push(ok("banner", `${report.banner ?? "none"} (${span(report.elapsedMs)} up to the login)`));
  }
  if (reached("offers")) findings.push(ok("offers", offered(report.offeredSecure ?? report.offeredPlain)));
  if (reached("tls")) findings.push(...tlsFindings(report, { facts, nowMs }));
  if (reached("login")) findings.push(loginFinding(report, facts));
  if (trouble !== undefined) findings.push(await troubleFinding(trouble, { options, facts }));
  return findings;
}

/** What is looked at, in the order of the dialogue. */
const STEPS = ["connection", "banner", "offers", "tls", "login"] as const;
type Step = (typeof STEPS)[number];

const STEP_OF_PHASE: Readonly<Partial<Record<Phase, Step>>> = {
  connect: "connection",
  greeting: "banner",
  ehlo: "offers",
  starttls: "tls",
  auth: "login",
};

function stepOf({ code, phase }: RouteTrouble): Step {
  // With implicit TLS its trouble comes before the greeting.
  if (code.startsWith("tls_") && phase !== "auth") return phase === "connect" ? "banner" : "tls";
  return STEP_OF_PHASE[phase] ?? "login";
}

async function troubleFinding(
  trouble: RouteTrouble,
  { options, facts }: { readonly options: SmtpOptions; readonly facts: RouteFacts },
): Promise<Finding> {
  const { problem, fix } = adviceOnTrouble(trouble, facts);
  const said = trouble.reply === undefined ? "" : `: ${trouble.reply.code} ${trouble.reply.text}`;
  const check = trouble.code === "tls_verify"
    ? "certificate"
    : trouble.code.startsWith("tls_")
    ? "tls"
    : stepOf(trouble);
  if (trouble.code !== "tls_verify") return fail(check, `${problem}${said}`, fix);
  const shown = (await probeCertificate(options))?.certificate;
  return fail(check, shown === undefined ? problem : `${problem} (${describeCertificate(shown)})`, fix);
}

function offered(capabilities: Capabilities | undefined): string {
  if (capabilities === undefined) return "nothing";
  const { maxSizeBytes, auth } = capabilities;
  const names = [
    ...(capabilities.pipelining ? ["PIPELINING"] : []),
    ...(capabilities.chunking ? ["CHUNKING"] : []),
    ...(capabilities.dsn !== "none" ? ["DSN"] : []),
    ...(capabilities.eightBitMime ? ["8BITMIME"] : []),
    ...(capabilities.smtpUtf8 ? ["SMTPUTF8"] : []),
    ...(capabilities.size ? [maxSizeBytes === undefined ? "SIZE" : `SIZE ${maxSizeBytes}`] : []),
    ...(auth.size > 0 ? [`AUTH ${[...auth].join(" ")}`] : []),
  ];
  return names.join(", ") || "nothing";
}

function tlsFindings(
  { tls, offeredPlain }: ProbeReport,
  { facts, nowMs }: { readonly facts: RouteFacts; readonly nowMs: number },
): readonly Finding[] {
  const isVerified = facts.tls !== "opportunistic" || facts.hasCredentials;
  if (tls !== undefined) {
    const how = facts.tls === "implicit" ? "from the first byte" : "by STARTTLS";
    const findings = [ok("tls", `${tls.version} ${how}, ${tls.cipher}`)];
    return [...findings, checkCertificate(tls.certificate, { nowMs, isVerified })];
  }
  if (/^(localhost|127\.[\d.]+|::1)$/.test(facts.host)) return [ok("tls", "none, and none is needed on this machine")];
  const found = `none: whoever is between here and ${facts.host} can read the mails`;
  if (offeredPlain?.startTls === true) {
    return [warn("tls", `${found}, though the server offers STARTTLS`, "write ?tls=required in SMTP_URL")];
  }
  return [warn("tls", found, "let the server offer STARTTLS, unless you trust the network between")];
}

function loginFinding({ isLoggedIn, offeredPlain, offeredSecure }: ProbeReport, facts: RouteFacts): Finding {
  if (isLoggedIn) return ok("login", "accepted");
  const asks = (offeredSecure ?? offeredPlain)?.auth.size ?? 0;
  const note = asks > 0 ? "; the server offers AUTH and may want it" : "";
  return ok("login", `none configured for ${facts.host}${note}`);
}
