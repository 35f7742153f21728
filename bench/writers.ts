/** Runs `work` `count` times, `writers` at a time: each begins the next when its own has ended, as requests do. */
export async function runWriters(
  options: { readonly count: number; readonly writers: number },
  work: (number: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const write = async () => {
    while (next < options.count) await work(next++);
  };
  await Promise.all(Array.from({ length: options.writers }, write));
}
