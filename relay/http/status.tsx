/** @jsxImportSource hono/jsx */
import type { Child } from "hono/jsx";
import { describePause, type Pause } from "../limits/pause.ts";
import { formatTime } from "../time/moment.ts";
import { page } from "./page.tsx";
import type { DatabaseStatus, RelayStatus, RouteStatus } from "./status_source.ts";

/** The page for people at `/`: what is wrong now, in one sentence, and the numbers behind it. */
export function statusPage(
  status: RelayStatus,
  options: { readonly now: Date; readonly hasInbox: boolean; readonly refreshSeconds?: number | undefined },
): Promise<Response> {
  const trouble = troubles(status);
  const links = [
    { href: "./", text: "Status", current: true },
    ...(options.hasInbox ? [{ href: "inbox", text: "Inbox" }] : []),
  ];
  return page(
    <>
      <h1>
        {trouble.length === 0 ? <span class="good">Mail flows.</span> : <span class="bad">{trouble.join(" ")}</span>}
      </h1>
      {status.playground
        ? (
          <p class="notice">
            This is the playground: mail is captured in {options.hasInbox ? <a href="inbox">the inbox</a> : "an inbox"}
            {" "}
            and sent to nobody. Set DATABASE_URL and SMTP_URL to run for real.
          </p>
        )
        : ""}
      {cards(status)}
      {databaseTable(status.databases)}
      {routeTable(status.routes)}
      {limitTable(status.limits, options.now)}
      {pauseTable(status.pauses ?? [])}
      <p class="dim">
        Version {status.version}, running for {age((options.now.getTime() - status.startedAt.getTime()) / 1_000)}.{" "}
        Counted since the start. <a href="?poll=10">Reload every 10 seconds</a>
      </p>
    </>,
    { title: "Status", links, refreshSeconds: options.refreshSeconds },
  );
}

/** Says what keeps mail from flowing, one sentence each, the worst first. */
export function troubles(status: RelayStatus): readonly string[] {
  const found: string[] = [];
  for (const { name, reachable, lastError, copy, schemaProblem } of status.databases) {
    if (!reachable) found.push(`Database ${name} does not answer${lastError === undefined ? "" : `: ${lastError}`}.`);
    else if (copy !== undefined) found.push(`Database ${name} is ${copy}.`);
    else if (schemaProblem !== undefined) found.push(`${schemaProblem}.`);
  }
  for (const { name, queue } of status.databases) {
    if (queue?.isFull) {
      found.push(`The queue of database ${name} is full (${queue.limit.toLocaleString("en")}): apps are refused.`);
    }
  }
  for (const route of status.routes) {
    if (route.state === "closed") continue;
    const because = route.reason === undefined ? "" : `: ${route.reason}`;
    // The words of the log, /readyz and `mailchute status`.
    const since = route.outSince === undefined ? "" : ` since ${formatTime(route.outSince)}`;
    found.push(`Route ${route.name} is out${since}${because}.`);
  }
  for (const { key } of status.pauses ?? []) {
    const what = describePause(key);
    found.push(`${what.charAt(0).toUpperCase()}${what.slice(1)} is paused.`);
  }
  return found;
}

function cards(status: RelayStatus): Child {
  const { counters, databases } = status;
  const ages = databases.flatMap(({ oldestDueSeconds }) => oldestDueSeconds === undefined ? [] : [oldestDueSeconds]);
  const facts: readonly (readonly [string, string | number])[] = [
    ["Oldest due", ages.length === 0 ? "none" : age(Math.max(...ages))],
    ["In flight", databases.reduce((sum, { inFlight }) => sum + inFlight, 0)],
    ["Sent", counters.sent],
    ["Deferred", counters.deferred],
    ["Bounced", counters.bounced],
    ["Uncertain", counters.uncertain],
    ["Failed", counters.failed],
    ["Expired", counters.expired],
    ["Suppressed", counters.suppressed],
  ];
  return (
    <dl class="cards">
      {facts.map(([term, value]) => (
        <div>
          <dt>{term}</dt>
          <dd>{typeof value === "number" ? value.toLocaleString("en") : value}</dd>
        </div>
      ))}
    </dl>
  );
}

function databaseTable(databases: readonly DatabaseStatus[]): Child {
  return (
    <div class="scroll">
      <table>
        <caption>Databases</caption>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Answers</th>
            <th scope="col">Notifications</th>
            <th scope="col">Schema</th>
            <th scope="col">Oldest due</th>
            <th scope="col" class="number">In flight</th>
          </tr>
        </thead>
        <tbody>
          {databases.map((it) => (
            <tr>
              <th scope="row">{it.name}</th>
              <td>{it.reachable ? <span class="good">yes</span> : <span class="bad">no</span>}</td>
              <td>{it.listening ? "arrive" : "missing, polling"}</td>
              <td>{it.schemaVersion === undefined ? "unknown" : String(it.schemaVersion)}</td>
              <td>{oldest(it)}</td>
              <td class="number">{String(it.inFlight)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

// A queue nobody can look into is not an empty queue.
function oldest(database: DatabaseStatus): string {
  if (!database.reachable) return "unknown";
  return database.oldestDueSeconds === undefined ? "none" : age(database.oldestDueSeconds);
}

function routeTable(routes: readonly RouteStatus[]): Child {
  const words = { closed: "open for mail", open: "out", "half-open": "out, being probed" } as const;
  return (
    <div class="scroll">
      <table>
        <caption>Routes</caption>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">State</th>
            <th scope="col">Reason</th>
            <th scope="col" class="number">Connections</th>
            <th scope="col" class="number">Sent</th>
            <th scope="col" class="number">Deferred</th>
            <th scope="col" class="number">Bounced</th>
          </tr>
        </thead>
        <tbody>
          {routes.map((it) => (
            <tr>
              <th scope="row">{it.name}</th>
              <td>
                <span class={it.state === "closed" ? "good" : "bad"}>{words[it.state]}</span>
              </td>
              <td>{it.reason ?? "–"}</td>
              <td class="number">{String(it.connections)}</td>
              <td class="number">{it.attempts.sent.toLocaleString("en")}</td>
              <td class="number">{it.attempts.deferred.toLocaleString("en")}</td>
              <td class="number">{it.attempts.bounced.toLocaleString("en")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function limitTable(limits: RelayStatus["limits"], now: Date): Child {
  if (limits === undefined || limits.reached === 0) return "";
  const more = limits.reached - limits.listed.length;
  return (
    <div class="scroll">
      <table>
        <caption>Limits that keep mail back{more > 0 ? ` (and ${more.toLocaleString("en")} more)` : ""}</caption>
        <thead>
          <tr>
            <th scope="col">Limit</th>
            <th scope="col">Next mail in</th>
          </tr>
        </thead>
        <tbody>
          {limits.listed.map((it) => (
            <tr>
              <th scope="row">{it.limit}</th>
              <td>{age((it.until.getTime() - now.getTime()) / 1_000)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function pauseTable(pauses: readonly Pause[]): Child {
  if (pauses.length === 0) return "";
  return (
    <div class="scroll">
      <table>
        <caption>Paused</caption>
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col">Since</th>
            <th scope="col">By</th>
            <th scope="col">Reason</th>
          </tr>
        </thead>
        <tbody>
          {pauses.map((it) => (
            <tr>
              <th scope="row">{describePause(it.key)}</th>
              <td>{it.since.toISOString().replace(/\.\d+Z/, "Z")}</td>
              <td>{it.by}</td>
              <td>{it.reason ?? "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Writes an age for people: two units at most. */
export function age(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3_600)} h ${Math.floor(whole % 3_600 / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor(whole % 86_400 / 3_600)} h`;
}
