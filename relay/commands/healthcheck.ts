import { createEnvironment } from "../settings/environment.ts";
import { readSetting, table } from "../settings/table.ts";
import { type Command, EXIT, UsageError } from "./command.ts";

const TIMEOUT_MS = 3_000;

/** `healthcheck`: asks the relay of this machine whether it lives; for a container's HEALTHCHECK. */
export const healthcheckCommand: Command = {
  name: "healthcheck",
  usage: "[--ready]",
  summary: "ask the relay on HOST and PORT whether it lives (or is ready); exit 0 or 1",
  options: { ready: { type: "boolean" } },
  async run(context, _words, options) {
    const environment = createEnvironment(context.env, context.readFile);
    const host = readSetting<string>(table.host, environment) ?? "127.0.0.1";
    const port = readSetting<number>(table.port, environment);
    // What listens on every address answers on loopback.
    const reachable = host === "0.0.0.0"
      ? "127.0.0.1"
      : host === "::"
      ? "[::1]"
      : host.includes(":")
      ? `[${host}]`
      : host;
    const url = `http://${reachable}:${port}/${options.ready ? "readyz" : "livez"}`;
    if (!URL.canParse(url)) throw new UsageError(`HOST and PORT make no address: ${url}`);
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      context.print((await response.text()).trim());
      return response.ok ? EXIT.ok : EXIT.failed;
    } catch (error) {
      context.tell(`No answer from ${url}: ${error instanceof Error ? error.message : error}`);
      return EXIT.failed;
    }
  },
};
