import { type Command, EXIT } from "./command.ts";
import { relayUrl } from "./relay_url.ts";

const TIMEOUT_MS = 3_000;

/** `healthcheck`: asks the relay of this machine whether it lives; for a container's HEALTHCHECK. */
export const healthcheckCommand: Command = {
  name: "healthcheck",
  usage: "[--ready]",
  summary: "ask the relay on HOST and PORT whether it lives (or is ready); exit 0 or 1",
  options: { ready: { type: "boolean" } },
  async run(context, _words, options) {
    const url = relayUrl(context, options.ready ? "readyz" : "livez");
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
