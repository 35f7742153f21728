import type { Pause } from "../limits/pause.ts";
import { UNKNOWN_ROUTE } from "../queue/settlement.ts";
import type { RelayStatus } from "./status_source.ts";

/** The content type of the Prometheus text format. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/**
 * Writes the status in the Prometheus text format. No label holds an address or a domain of one.
 *
 * @param isReady What `/readyz` says: some of its reasons (a copy, a schema that does not fit, a journal that cannot be
 * written) are in no other metric.
 */
export function metricsText(status: RelayStatus, isReady: boolean): string {
  const { counters, databases, routes } = status;
  const perDatabase = (value: (database: RelayStatus["databases"][number]) => number | undefined): Sample[] =>
    databases.flatMap((database) => {
      const number = value(database);
      return number === undefined ? [] : [[{ database: database.name }, number] as const];
    });
  const seconds = (date: Date): number => date.getTime() / 1_000;
  const messages = databases.flatMap((database) =>
    Object.entries(database.messages ?? {}).map(([state, count]) =>
      [{ database: database.name, state }, count] as const
    )
  );
  return [
    family("info gauge The relay's version.", [[{ version: status.version }, 1]]),
    family("start_timestamp_seconds gauge When the relay started.", [[{}, seconds(status.startedAt)]]),
    family("ready gauge 1 while /readyz answers ok.", [[{}, Number(isReady)]]),
    family("playground gauge 1 while mail is captured instead of sent.", [[{}, Number(status.playground)]]),
    family("database_up gauge 1 while the database answers.", perDatabase((it) => Number(it.reachable))),
    family("database_listening gauge 1 while notifications arrive.", perDatabase((it) => Number(it.listening))),
    family("database_schema_version gauge Version of the schema.", perDatabase((it) => it.schemaVersion)),
    family(
      "queue_messages gauge Open messages by state, about, counted once a minute: scheduled (or an item of a digest), queued, sending, deferred (tried, waits for its next try), held (for a person).",
      messages,
    ),
    family(
      // A mail that is given back is due at the next probe: while a route is out this says nothing of how old its mail
      // is.
      "queue_oldest_seconds gauge How long the longest due message has been due; 0 when nothing is. A route that is out, a limit and a pause begin it anew.",
      perDatabase((it) => it.reachable ? it.oldestDueSeconds ?? 0 : undefined),
    ),
    family(
      "queue_open gauge Open messages, about, where RELAY_MAX_QUEUE limits them.",
      perDatabase((it) => it.queue?.messages),
    ),
    family("queue_limit gauge RELAY_MAX_QUEUE.", perDatabase((it) => it.queue?.limit)),
    family(
      "queue_full gauge 1 while enqueue is refused because of RELAY_MAX_QUEUE.",
      perDatabase((it) => it.queue === undefined ? undefined : Number(it.queue.isFull)),
    ),
    family("in_flight_messages gauge Messages claimed by this relay.", perDatabase((it) => it.inFlight)),
    family(
      "attempts_total counter Attempts, each recipient for itself, by route and outcome; by the route `unknown` those of relays that were lost.",
      [
        ...routes.flatMap((route) =>
          (["sent", "deferred", "bounced", "uncertain"] as const).map((result) =>
            [{ route: route.name, result }, route.attempts[result]] as const
          )
        ),
        ...lostSamples(status),
      ],
    ),
    family(
      "ended_total counter Recipients that ended without being sent or bounced.",
      (["failed", "expired", "suppressed"] as const).map((state) => [{ state }, counters[state]]),
    ),
    family("settled_stale_total counter Outcomes written after their lease was lost.", [[{}, counters.settledStale]]),
    family(
      "route_state gauge 1 for the state of the route's circuit breaker.",
      routes.flatMap((route) =>
        (["closed", "open", "half-open"] as const).map((state) =>
          [{ route: route.name, state }, Number(route.state === state)] as const
        )
      ),
    ),
    family(
      "limits_reached gauge Limits of RELAY_RATE that keep mail back now.",
      status.limits === undefined ? [] : [[{}, status.limits.reached]],
    ),
    family("paused gauge 1 for each pause in force; of domains, how many.", pauseSamples(status.pauses ?? [])),
    family(
      "smtp_connections gauge Open connections to the next hop.",
      routes.map((route) => [{ route: route.name }, route.connections] as const),
    ),
    family(
      "last_success_timestamp_seconds gauge When the next hop last took a mail.",
      routes.flatMap(({ name, lastSentAt }) =>
        lastSentAt === undefined ? [] : [[{ route: name }, seconds(lastSentAt)] as const]
      ),
    ),
  ].join("");
}

/** What was taken over from relays that were lost: any of it may be sent twice, or is held for a person. */
function lostSamples({ counters, routes }: RelayStatus): readonly Sample[] {
  if (routes.some(({ name }) => name === UNKNOWN_ROUTE)) return [];
  const known = routes.reduce((sum, { attempts }) => sum + attempts.uncertain, 0);
  return [[{ route: UNKNOWN_ROUTE, result: "uncertain" }, Math.max(0, counters.uncertain - known)]];
}

/** Domains are counted: no label holds one. */
function pauseSamples(pauses: readonly Pause[]): readonly Sample[] {
  const domains = pauses.filter(({ key }) => key.startsWith("domain="));
  const others = pauses.filter((pause) => !domains.includes(pause)).map(({ key }): Sample => {
    const [of = "", name] = key.split("=");
    return [{ of, ...(name === undefined ? {} : { [of]: name }) }, 1];
  });
  return domains.length === 0 ? others : [...others, [{ of: "domain" }, domains.length]];
}

/** Writes one family; its head is `name type help`. */
function family(head: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return "";
  const [name = "", type = "", ...help] = head.split(" ");
  const lines = [`# HELP mailchute_${name} ${help.join(" ")}`, `# TYPE mailchute_${name} ${type}`];
  for (const [labels, value] of samples) {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
    lines.push(`mailchute_${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`);
  }
  return `${lines.join("\n")}\n`;
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
