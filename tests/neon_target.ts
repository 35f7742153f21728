import type { neonConfig } from "@neondatabase/serverless";

/** The driver's `neonConfig`, of which a target sets what leads to it. */
export type NeonConfig = Pick<
  typeof neonConfig,
  "fetchEndpoint" | "wsProxy" | "useSecureWebSocket" | "forceDisablePgSSL" | "pipelineConnect"
>;

/** Where Neon's driver goes instead of to Neon. Plain code, so that it runs in every runtime. */
export interface NeonTarget {
  /** Points a driver here, for all its connections. */
  configure(neonConfig: NeonConfig): void;
}

/** A target on this host and port: `127.0.0.1:4444`. */
export function neonTarget(host: string): NeonTarget {
  return {
    configure: (neonConfig) => {
      neonConfig.fetchEndpoint = () => `http://${host}/sql`;
      neonConfig.wsProxy = () => `${host}/v2`;
      neonConfig.useSecureWebSocket = false;
      neonConfig.forceDisablePgSSL = true;
      // Only for passwords in clear text, which this Postgres does not take.
      neonConfig.pipelineConnect = false;
    },
  };
}
