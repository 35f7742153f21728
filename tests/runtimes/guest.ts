import { createMailer } from "../../mod.ts";
import { CASES } from "../client/cases.ts";
import type { Kind } from "../client/kinds/kind.ts";
import { neonTarget } from "../neon_target.ts";
import type { Report, Task } from "./task.ts";
import { TROUBLES } from "./troubles.ts";

// The part of a test that is inside the runtime. Plain code: what a runtime has of its own is in its entry.

/** The paths of the door that the test's process keeps open for its guests. */
export const DOOR = { sql: "/sql", answered: "/answered", report: "/report" } as const;

/** Runs one case with one of these kinds. Never rejects. */
export async function run(task: Task, kinds: readonly Kind[]): Promise<Report> {
  try {
    await attempt(task, kinds);
    return {};
  } catch (error) {
    return { failure: described(error) };
  }
}

/** Runs a case once the answer to its request has been read, and then tells the door. For `waitUntil`. */
export async function runLater(task: Task, kinds: readonly Kind[]): Promise<void> {
  await ask(task, DOOR.answered, "");
  await ask(task, DOOR.report, JSON.stringify(await run(task, kinds)));
}

async function attempt(task: Task, kinds: readonly Kind[]): Promise<void> {
  const kind = kinds.find(({ name }) => name === task.connection);
  if (kind === undefined) throw new Error(`This runtime's entry has no ${task.connection}`);
  const trouble = TROUBLES[task.sentence];
  if (trouble !== undefined) {
    const open = await kind.open(task.url, neonTarget(task.neonHost));
    try {
      await trouble(open.connection, kind);
    } finally {
      // A driver may wait for what never comes: nobody waits for that here.
      Promise.resolve(open[Symbol.asyncDispose]()).catch(() => {});
    }
    return;
  }
  const work = CASES[task.sentence];
  if (work === undefined) throw new Error(`There is no case "${task.sentence}"`);
  await using open = await kind.open(task.url, neonTarget(task.neonHost));
  const mail = createMailer(open.connection, { from: "Shop <shop@shop.example>" });
  await work({
    kind,
    open,
    mail,
    admin: async (text) => JSON.parse(await ask(task, DOOR.sql, text)),
    thoroughly: task.thoroughly,
  });
}

async function ask(task: Task, path: string, body: string): Promise<string> {
  const response = await fetch(task.doorUrl + path, { method: "POST", body });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}

function described(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // V8 begins a stack with the message, and JavaScriptCore does not.
  const place = String(error.stack ?? "").split("\n").filter((line) => /^\s+at |@/.test(line)).slice(0, 8).join("\n");
  const cause = error.cause === undefined ? "" : `\ncaused by ${described(error.cause)}`;
  return `${error.name}: ${error.message}\n${place}${cause}`;
}
