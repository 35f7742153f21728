import { errorCode } from "../error_code.ts";
import type { DatabaseUnderTest } from "./database.ts";
import { type Finding, ok, reasonOf, span, warn } from "./finding.ts";

const PATIENCE_MS = 3_000;

/** Whether a notification arrives: without it a mail waits for the next look of the relay. */
export async function checkListen(test: DatabaseUnderTest): Promise<readonly Finding[]> {
  const { sql, clock, variable, pollMs } = test;
  const fix = `set ${variable.replace(/_UNPOOLED$/, "")}_UNPOOLED to the direct address of the database`;
  const late = `mail waits up to ${span(pollMs)} (RELAY_POLL)`;
  // A channel of our own: to ring the relays' one would wake them.
  const channel = `mailchute_doctor_${crypto.randomUUID().replaceAll("-", "")}`;
  let sentMs = 0;
  let cancel = (): void => undefined;
  try {
    const arrivedMs = await new Promise<number | undefined>((resolve, reject) => {
      cancel = clock.after(PATIENCE_MS, () => resolve(undefined));
      sql.listen(channel, () => resolve(performance.now())).then(() => {
        sentMs = performance.now();
        return sql.notify(channel, "");
      }).catch(reject);
    });
    if (arrivedMs === undefined) {
      return [warn("listen", `no notification arrived within ${span(PATIENCE_MS)}: ${late}`, fix)];
    }
    return [ok("listen", `a notification arrived after ${span(arrivedMs - sentMs)}`)];
  } catch (error) {
    return [warn("listen", `LISTEN does not work (${errorCode(error) || reasonOf(error)}): ${late}`, fix)];
  } finally {
    cancel();
  }
}
