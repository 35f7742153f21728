import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIP } from "node:net";

/** A certificate and its key, in PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority made for one test run. Its certificate is what `ca` takes. */
export interface Authority {
  readonly ca: string;
  /** Issues a certificate for host names and addresses. */
  issue(names: readonly string[], options?: { readonly expired?: boolean; readonly days?: number }): Certificate;
}

const DAY_MS = 86_400_000;

/** Makes a new authority; its key lives as long as the test process. */
export function createAuthority(): Authority {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issuer = { name: "Test authority", key: pair.privateKey };
  const ca = certificate({ subject: issuer.name, publicKey: pair.publicKey, issuer, isAuthority: true });
  return {
    ca,
    issue(names, options = {}) {
      const leaf = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const subject = names[0] ?? "nobody";
      return {
        cert: certificate({ subject, publicKey: leaf.publicKey, issuer, names, ...options }),
        key: pem(leaf.privateKey),
      };
    },
  };
}

/** Makes a certificate that nobody vouches for. */
export function selfSigned(names: readonly string[]): Certificate {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const subject = names[0] ?? "nobody";
  const issuer = { name: subject, key: pair.privateKey };
  return { cert: certificate({ subject, publicKey: pair.publicKey, issuer, names }), key: pem(pair.privateKey) };
}

interface Request {
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly issuer: { readonly name: string; readonly key: KeyObject };
  readonly names?: readonly string[];
  readonly isAuthority?: boolean;
  readonly expired?: boolean;
  /** How long it lasts. @default {1} */
  readonly days?: number;
}

/** X.509 v3 in DER (RFC 5280 section 4.1), signed with ECDSA and SHA-256 (RFC 5758 section 3.2). */
function certificate(request: Request): string {
  const algorithm = sequence(oid("2a8648ce3d040302"));
  const now = Date.now();
  const notAfter = request.expired === true ? now - DAY_MS : now + (request.days ?? 1) * DAY_MS;
  const body = sequence(
    tagged(0xa0, integer(Uint8Array.of(2))),
    integer(Uint8Array.of(1, ...randomBytes(15))),
    algorithm,
    name(request.issuer.name),
    sequence(utcTime(now - 2 * DAY_MS), utcTime(notAfter)),
    name(request.subject),
    request.publicKey.export({ format: "der", type: "spki" }),
    tagged(0xa3, sequence(...extensions(request))),
  );
  const signature = sign("sha256", body, request.issuer.key);
  const der = sequence(body, algorithm, tagged(0x03, Buffer.concat([Uint8Array.of(0), signature])));
  return `-----BEGIN CERTIFICATE-----\n${
    der.toString("base64").replace(/.{64}(?=.)/g, "$&\n")
  }\n-----END CERTIFICATE-----\n`;
}

function extensions({ names, isAuthority }: Request): Buffer[] {
  if (isAuthority === true) {
    // basicConstraints, critical: this one may issue others.
    const constraints = tagged(0x04, sequence(tagged(0x01, Uint8Array.of(0xff))));
    return [sequence(oid("551d13"), tagged(0x01, Uint8Array.of(0xff)), constraints)];
  }
  const alternatives = (names ?? []).map((each) =>
    isIP(each) === 4
      ? tagged(0x87, Uint8Array.from(each.split(".").map(Number)))
      : tagged(0x82, Buffer.from(each, "ascii"))
  );
  return [sequence(oid("551d11"), tagged(0x04, sequence(...alternatives)))];
}

function name(commonName: string): Buffer {
  return sequence(tagged(0x31, sequence(oid("550403"), tagged(0x0c, Buffer.from(commonName, "utf8")))));
}

function utcTime(timeMs: number): Buffer {
  const digits = new Date(timeMs).toISOString().replace(/[-:T]/g, "").slice(2, 14);
  return tagged(0x17, Buffer.from(`${digits}Z`, "ascii"));
}

function integer(bytes: Uint8Array): Buffer {
  return tagged(0x02, bytes);
}

function oid(hex: string): Buffer {
  return tagged(0x06, Buffer.from(hex, "hex"));
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function tagged(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  const header = length < 0x80
    ? [tag, length]
    : length < 0x100
    ? [tag, 0x81, length]
    : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Uint8Array.from(header), content]);
}

function pem(key: KeyObject): string {
  return String(key.export({ format: "pem", type: "pkcs8" }));
}
