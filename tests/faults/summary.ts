/**
 * Writes many outcomes in few words: equal ones that follow each other are counted.
 *
 * @example
 * ```ts
 * const text = summary(["sent final 250, sent final 250", "deferred rcpt recipient 450"]);
 * if (text !== "2 × sent final 250; deferred rcpt recipient 450") throw new Error("unexpected");
 * ```
 *
 * @param outcomes of each mail, those of its recipients separated by commas
 */
export function summary(outcomes: readonly string[]): string {
  return counted(outcomes.map((outcome) => counted(outcome.split(", "), ", ")), "; ");
}

function counted(texts: readonly string[], separator: string): string {
  const runs: { readonly text: string; count: number }[] = [];
  for (const text of texts) {
    const last = runs.at(-1);
    if (last?.text === text) last.count++;
    else runs.push({ text, count: 1 });
  }
  return runs.map(({ text, count }) => count === 1 ? text : `${count} × ${text}`).join(separator);
}
