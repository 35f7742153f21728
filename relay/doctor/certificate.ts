import type { PeerCertificate } from "../smtp/peer_certificate.ts";
import { type Finding, ok, span, warn } from "./finding.ts";

const DAY_MS = 86_400_000;

/** Renewals run some 30 days before the end: fewer days than this, and one of them has failed. */
const WARN_MS = 21 * DAY_MS;

/** Whether the certificate of a server will last. One that must be valid has been verified when this is asked. */
export function checkCertificate(
  certificate: PeerCertificate | undefined,
  { nowMs, isVerified }: { readonly nowMs: number; readonly isVerified: boolean },
): Finding {
  if (certificate === undefined) return ok("certificate", "none shown");
  const found = `${describeCertificate(certificate)}${
    isVerified ? "" : "; not verified, since tls=opportunistic takes any"
  }`;
  const leftMs = certificate.notAfterMs - nowMs;
  if (leftMs <= 0) return warn("certificate", `${found}; that is over`, "renew it on the server");
  if (leftMs < WARN_MS) {
    return warn(
      "certificate",
      `${found}, in ${span(leftMs)}`,
      "renew it on the server, and see why that did not happen by itself",
    );
  }
  return ok("certificate", found);
}

/** What a certificate says, for people. */
export function describeCertificate({ issuer, names, notAfterMs }: PeerCertificate): string {
  const most = 5;
  const shown = names.slice(0, most).join(", ") || "no name";
  const more = names.length > most ? ` and ${names.length - most} more` : "";
  const end = Number.isNaN(notAfterMs) ? "at no time it says" : new Date(notAfterMs).toISOString().slice(0, 10);
  return `for ${shown}${more}, issued by ${issuer}, ends ${end}`;
}
