/** Does `work` for each number below `count`, so many at a time. */
export async function inFlight(
  count: number,
  options: { readonly atATime: number; readonly work: (number: number) => Promise<unknown> },
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await options.work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(options.atATime, count) }, worker));
}
