import { MailchuteError } from "./error.ts";

/**
 * Waits for something that may never come.
 *
 * @throws {MailchuteError} `timeout` when it has not within that time
 */
export async function within<T>(timeoutMs: number, coming: PromiseLike<T>, otherwise: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deadline = new Promise<never>((_, reject) => {
    const late = `${otherwise} within ${timeoutMs} ms`;
    timer = setTimeout(() => reject(new MailchuteError("timeout", late)), timeoutMs);
  });
  try {
    return await Promise.race([coming, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
