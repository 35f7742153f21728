/**
 * What repeats itself does so more often with CI=true, as `.ci/run` has it: who waits for `npm test` is to wait for
 * minutes only.
 */
export const thoroughly: boolean = process.env.CI === "true";
