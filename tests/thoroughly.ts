/** What repeats itself does so more often with CI=true, as `.ci/run` has it: who waits for `npm test` has 4 minutes. */
export const thoroughly: boolean = process.env.CI === "true";
