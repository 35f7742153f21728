/** Reads `?poll=`: whole seconds from 2 to 3600; anything else means that the page does not reload. */
export function refreshSeconds(poll: string | undefined): number | undefined {
  if (poll === undefined || !/^\d{1,4}$/.test(poll)) return undefined;
  const seconds = Number(poll);
  return seconds >= 2 && seconds <= 3_600 ? seconds : undefined;
}
