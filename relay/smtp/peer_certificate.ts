/** What a certificate says. */
export interface PeerCertificate {
  readonly issuer: string;
  /** Host names and addresses that it is for. */
  readonly names: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** A certificate as `getPeerCertificate` of Node gives it. */
export interface ShownCertificate {
  readonly issuer?: ShownName;
  readonly subject?: ShownName;
  readonly subjectaltname?: string | undefined;
  readonly valid_from?: string;
  readonly valid_to?: string;
}

interface ShownName {
  readonly O?: string | readonly string[] | undefined;
  readonly CN?: string | readonly string[] | undefined;
}

/** Reads a certificate; undefined when the peer showed none, for which Node gives an empty object. */
export function readCertificate(shown: ShownCertificate | undefined): PeerCertificate | undefined {
  if (shown?.valid_to === undefined) return undefined;
  const { issuer, subject, subjectaltname, valid_from, valid_to } = shown;
  // "DNS:mx.example, IP Address:192.0.2.1"; the common name counts only where there is no such list (RFC 6125 section
  // 6.4.4).
  const names = subjectaltname?.split(", ").map((entry) => entry.replace(/^(DNS|IP Address):/, ""));
  return {
    issuer: nameOf(issuer),
    names: names ?? (subject?.CN === undefined ? [] : [subject.CN].flat()),
    notBeforeMs: Date.parse(valid_from ?? ""),
    notAfterMs: Date.parse(valid_to),
  };
}

/** The organisation with the common name, such as `Let's Encrypt, R11`. */
function nameOf(name: ShownName | undefined): string {
  const parts = [name?.O, name?.CN].flat().filter((part) => part !== undefined && part !== "");
  return parts.length === 0 ? "nobody it names" : parts.join(", ");
}
