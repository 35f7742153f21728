// What the tests and the runtimes say to each other. Plain data: it crosses to another process as JSON.

/** One case for one connection, to be run by a runtime. */
export interface Task {
  /** The kind's name, such as `Neon Pool`. */
  readonly connection: string;
  /** The case's name. */
  readonly sentence: string;
  /** The database, as the app's role. */
  readonly url: string;
  /** Where Neon's driver goes: `127.0.0.1:4444`. */
  readonly neonHost: string;
  /** Where the case's SQL as superuser goes: most runtimes have no driver for it of their own. */
  readonly doorUrl: string;
  readonly thoroughly: boolean;
}

/** What became of a task. */
export interface Report {
  /** The runtime's own error, with its causes; undefined when the case has passed. */
  readonly failure?: string;
}

/** A runtime that runs, with a bundle of the cases in it. */
export interface Runtime extends AsyncDisposable {
  readonly run: (task: Task) => Promise<Report>;
  /**
   * Answers at once, and runs the task in `waitUntil`; the report goes to the door. For runtimes that handle requests.
   */
  readonly runLater?: (task: Task) => Promise<void>;
}
