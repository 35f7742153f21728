/** What a mail of a stream has that does not say otherwise, as far as a test sees it. */
export interface FakeStream {
  readonly priority: "high" | "normal" | "low";
  /** From when a mail is due. */
  readonly expiresAfterMs?: number;
  /** The waits after the first, second, … attempt. */
  readonly backoffMs?: readonly number[];
  readonly onUncertain?: "retry" | "hold";
  /** Its mails go out one by one. */
  readonly refusesDigests?: boolean;
}

const S = 1_000;
const M = 60 * S;
const H = 60 * M;

/** The rows that the database begins with (015_streams.sql); a test compares them. Any other stream is a name. */
export const STREAMS: ReadonlyMap<string | undefined, FakeStream> = new Map<string, FakeStream>([
  ["otp", {
    priority: "high",
    expiresAfterMs: 10 * M,
    backoffMs: [5 * S, 15 * S, 30 * S, M],
    onUncertain: "retry",
    refusesDigests: true,
  }],
  ["transactional", { priority: "normal" }],
  ["bulk", {
    priority: "low",
    expiresAfterMs: 72 * H,
    backoffMs: [15 * M, 30 * M, H, 2 * H, 4 * H, 8 * H],
  }],
  ["alert", {
    priority: "high",
    expiresAfterMs: 24 * H,
    backoffMs: [5 * S, 15 * S, 30 * S, M, 5 * M, 15 * M],
    onUncertain: "retry",
  }],
]);
