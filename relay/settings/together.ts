import { SettingsError } from "./settings_error.ts";

/**
 * Reads several settings, each by a function of its own, so that all that is wrong with them is told at once: whoever
 * has to build an image for each correction is told once.
 *
 * @throws {SettingsError} with a line for each that is wrong
 */
export function together<const Reads extends readonly (() => unknown)[]>(
  ...reads: Reads
): { readonly [Key in keyof Reads]: ReturnType<Reads[Key]> } {
  const faults: SettingsError[] = [];
  const values = reads.map((read) => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      // A setting that two of them read is said once.
      faults.push(...error.each.filter(({ message }) => !faults.some((fault) => fault.message === message)));
      return undefined;
    }
  });
  const [first] = faults;
  // What was read without a fault is what its function gives.
  if (first === undefined) return values as { readonly [Key in keyof Reads]: ReturnType<Reads[Key]> };
  if (faults.length === 1) throw first;
  throw new SettingsError(first.variable, faults.map(({ message }) => message).join("\n"), { each: faults });
}
