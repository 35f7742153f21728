import type { CommandContext } from "./command.ts";

/** Who sees nothing for so long wonders whether it works. */
const EVERY_MS = 3_000;

/** Does work that may take long, and says on stderr every few seconds how far it is. */
export async function withProgress<T>(
  { after, tell }: Pick<CommandContext, "after" | "tell">,
  describe: () => string,
  work: () => Promise<T>,
): Promise<T> {
  const begin = (): () => void =>
    after(EVERY_MS, () => {
      tell(describe());
      cancel = begin();
    });
  let cancel = begin();
  try {
    return await work();
  } finally {
    cancel();
  }
}
