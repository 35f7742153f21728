import type { Sql } from "postgres";
import { parseAddress } from "../../src/address.ts";
import { uuidv7 } from "../../src/uuid.ts";
import { beginPause, endPause, readPauses } from "../limits/pause_table.ts";
import type { Pause } from "../limits/pause.ts";
import {
  type Batch,
  findBatches,
  listBatches,
  readEvents,
  readProgress,
  readTemplate,
  sendTest,
} from "../queue/batch_table.ts";
import { formatMoment, formatTime } from "../time/moment.ts";
import {
  barOf,
  describeCounts,
  describePace,
  describeStates,
  percentOf,
  secondsLeftOf,
  sumOf,
} from "./batch_progress.ts";
import { CANCELING } from "./cancel.ts";
import {
  type Command,
  type CommandContext,
  DATABASE_OPTION,
  EXIT,
  JSON_OPTION,
  type Options,
  table,
  UsageError,
  withDatabase,
} from "./command.ts";
import { limitOf } from "./list.ts";
import { onFilter } from "./matching.ts";
import { reasonOf } from "./pause.ts";

const ACTIONS = ["pause", "resume", "cancel", "test"] as const;

/** `batch`: how far bulk sends are; pauses, resumes and cancels one, and sends a test mail of it. */
export const batchCommand: Command = {
  name: "batch",
  usage:
    "[NAME] [--pause [--reason TEXT] | --resume | --cancel [--yes] | --test ADDRESS [--var NAME=VALUE…]] [--app NAME] [--limit 20] [--json] [--database NAME]",
  summary:
    "bulk sends and how far they are; of one: counts by state, rate and time left. --test sends its mail once to one address, --cancel counts first and needs --yes",
  takesWords: true,
  options: {
    pause: { type: "boolean" },
    resume: { type: "boolean" },
    cancel: { type: "boolean" },
    yes: { type: "boolean" },
    reason: { type: "string" },
    test: { type: "string" },
    var: { type: "string", multiple: true },
    app: { type: "string" },
    limit: { type: "string" },
    ...JSON_OPTION,
    ...DATABASE_OPTION,
  },
  async run(context, words, options) {
    const [name, ...others] = words;
    if (others.length > 0) throw new UsageError(`Unexpected argument '${others[0]}'`);
    const actions = ACTIONS.filter((action) => options[action] !== undefined);
    if (actions.length > 1) throw new UsageError("Name one of --pause, --resume, --cancel and --test at a time");
    const [action] = actions;
    if (name === undefined && action !== undefined) throw new UsageError(`--${action} needs the name of a batch`);
    if (options.reason !== undefined && action !== "pause") throw new UsageError("--reason says why: add --pause");
    if (options.var !== undefined && action !== "test") throw new UsageError("--var is for a test mail: add --test");
    if (options.yes !== undefined && action !== "cancel") throw new UsageError("--yes is for --cancel");
    const app = options.app as string | undefined;
    const work = workOf(options, action);
    const limit = limitOf(options, 20);
    return await withDatabase(context, { name: options.database }, async (sql, { display }) => {
      if (name === undefined) return await list(context, sql, { limit, app, asJson: options.json === true });
      const found = await findBatches(sql, { name, app });
      const [batch, second] = found;
      if (batch === undefined) {
        if (action === "resume" && await resumeById(context, name)) return EXIT.ok;
        context.tell(`No batch of ${display} is called ${name}.`);
        return EXIT.failed;
      }
      if (second !== undefined) {
        const apps = found.map((each) => each.app).join(", ");
        throw new UsageError(`${found.length} batches are called ${name}: add --app, one of ${apps}`);
      }
      return await work(context, sql, { batch, options });
    });
  },
};

/** What is done with one batch. */
type Work = (
  context: CommandContext,
  sql: Sql,
  given: { readonly batch: Batch; readonly options: Options },
) => Promise<number>;

/** Checks what the action needs before anybody connects. */
function workOf(options: Options, action: typeof ACTIONS[number] | undefined): Work {
  switch (action) {
    case undefined:
      return show;
    case "pause":
      return pauseWork(reasonOf(options.reason));
    case "resume":
      return resume;
    case "cancel":
      return cancel;
    case "test":
      return testWork({ to: addressOf(options.test), variables: variablesOf(options.var) });
    default:
      return action satisfies never;
  }
}

async function list(
  context: CommandContext,
  sql: Sql,
  { limit, app, asJson }: { readonly limit: number; readonly app: string | undefined; readonly asJson: boolean },
): Promise<number> {
  const pauses = await pausesOfHome(context);
  const rows = [];
  for (const batch of await listBatches(sql, { limit, app })) {
    rows.push({ ...batch, ...await readProgress(sql, batch), paused: pauses.has(batch.id) });
  }
  if (asJson) context.print(JSON.stringify(rows, null, 2));
  else if (rows.length === 0) context.tell("No batch has been sent.");
  else {
    const lines = rows.map((row) => [
      row.name ?? row.id,
      row.app,
      formatTime(row.createdAt),
      percentOf(row),
      describeStates(row) + (row.paused ? " (paused)" : ""),
    ]);
    context.print(table([["batch", "app", "created", "done", "messages"], ...lines]));
  }
  return EXIT.ok;
}

const show: Work = async (context, sql, { batch, options }) => {
  const progress = await readProgress(sql, batch);
  const events = await readEvents(sql, batch);
  const pause = (await pausesOfHome(context)).get(batch.id);
  if (options.json) {
    const { total, done } = sumOf(progress);
    const secondsLeft = secondsLeftOf(progress);
    context.print(JSON.stringify({ ...batch, total, done, ...progress, events, secondsLeft, pause }, null, 2));
    return EXIT.ok;
  }
  const now = new Date();
  context.print([
    `${batch.name ?? batch.id}  app ${batch.app}, id ${batch.id}, begun ${formatMoment(batch.createdAt, now)}`,
    `  ${context.terminal ? `${barOf(progress)} ` : ""}${percentOf(progress)} of ${sumOf(progress).total}: ${
      describeStates(progress)
    }`,
    `  ${describePace(progress)}`,
    ...(Object.keys(events).length === 0 ? [] : [`  reported since: ${describeCounts(events)}`]),
    ...(pause === undefined ? [] : [
      `  paused since ${formatMoment(pause.since, now)} by ${pause.by}${
        pause.reason === undefined ? "" : `: ${pause.reason}`
      }`,
    ]),
  ].join("\n"));
  return EXIT.ok;
};

function pauseWork(reason: string | undefined): Work {
  return async (context, _sql, { batch }) => {
    const isNew = await withDatabase(
      context,
      { name: undefined },
      (home) => beginPause(home, { key: keyOf(batch), reason }),
    );
    context.tell(`batch ${batch.name ?? batch.id}: ${isNew ? "paused" : "was paused already"}`);
    return EXIT.ok;
  };
}

const resume: Work = async (context, _sql, { batch }) => {
  const wasPaused = await withDatabase(context, { name: undefined }, (home) => endPause(home, keyOf(batch)));
  context.tell(`batch ${batch.name ?? batch.id}: ${wasPaused ? "resumed" : "was not paused"}`);
  return wasPaused ? EXIT.ok : EXIT.failed;
};

/** The pause of a batch lies at home, in whichever database that is, and stays when retention has deleted the batch. */
async function resumeById(context: CommandContext, id: string): Promise<boolean> {
  const wasPaused = await withDatabase(
    context,
    { name: undefined },
    (home) => endPause(home, `batch=${id.toLowerCase()}`),
  );
  if (wasPaused) context.tell(`batch ${id}: resumed`);
  return wasPaused;
}

const cancel: Work = async (context, _sql, { batch, options }) => {
  const filter = { batch: batch.id, app: batch.app };
  const code = await onFilter(
    context,
    { filter, options: { yes: options.yes }, database: options.database },
    CANCELING,
  );
  if (options.yes === true && (await pausesOfHome(context)).has(batch.id)) {
    const name = batch.name ?? batch.id;
    context.tell(
      `It stays paused, for what its app may yet add to it; the end of that is: mailchute batch ${name} --resume`,
    );
  }
  return code;
};

function testWork(
  { to, variables }: { readonly to: string; readonly variables: Readonly<Record<string, string>> },
): Work {
  return async (context, sql, { batch }) => {
    const { names, hasContent } = await readTemplate(sql, batch);
    const missing = names.filter((name) => !Object.hasOwn(variables, name));
    if (missing.length > 0) {
      throw new UsageError(`The mail has {{${missing[0]}}}: add ${missing.map((name) => `--var ${name}=…`).join(" ")}`);
    }
    const unknown = Object.keys(variables).find((name) => !names.includes(name));
    if (unknown !== undefined) {
      throw new UsageError(
        `--var ${unknown}: the mail has no {{${unknown}}}${names.length === 0 ? "" : `, but ${names.join(", ")}`}`,
      );
    }
    if (!hasContent) {
      context.tell("Its content is no longer stored (RELAY_RETENTION_CONTENT)");
      return EXIT.failed;
    }
    const id = uuidv7(Date.now(), crypto.randomUUID());
    await sendTest(sql, batch, { id, to, variables });
    context.print(id);
    context.tell(`A test mail to ${to} is queued: mailchute show ${id}`);
    return EXIT.ok;
  };
}

function keyOf({ id }: Batch): string {
  return `batch=${id}`;
}

/** Relays keep the pauses of their home, in all databases. */
async function pausesOfHome(context: CommandContext): Promise<ReadonlyMap<string, Pause>> {
  const pauses = await withDatabase(context, { name: undefined }, (home) => readPauses(home));
  return new Map(pauses.map((pause) => [pause.key.replace(/^batch=/, ""), pause]));
}

function addressOf(text: Options[string]): string {
  const parsed = parseAddress(String(text));
  if (parsed.ok && parsed.mailbox.name === undefined) return parsed.mailbox.email;
  throw new UsageError(`--test ${text} is no address: write ann@example.com`);
}

/** Reads the pairs of `--var`. */
export function variablesOf(given: Options[string]): Readonly<Record<string, string>> {
  const pairs = (Array.isArray(given) ? given : []) as readonly string[];
  return Object.fromEntries(pairs.map((pair) => {
    const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(pair) ?? [];
    if (name === undefined || value === undefined) {
      throw new UsageError(`--var ${pair} is no pair: write --var name=value`);
    }
    return [name, value];
  }));
}
