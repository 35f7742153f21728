import { createEnvironment } from "../settings/environment.ts";
import { readSetting, table } from "../settings/table.ts";
import { type CommandContext, UsageError } from "./command.ts";

/** Where the relay of this machine answers, by HOST and PORT. */
export function relayUrl(context: CommandContext, path: string): string {
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
  const url = `http://${reachable}:${port}/${path}`;
  if (!URL.canParse(url)) throw new UsageError(`HOST and PORT make no address: ${url}`);
  return url;
}
