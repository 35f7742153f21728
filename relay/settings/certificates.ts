import { errorCode } from "../error_code.ts";
import { checkCertificates } from "../smtp/connection.ts";
import type { ClientCertificateSettings } from "./certificate_files.ts";
import type { DatabaseSettings } from "./database_url.ts";
import { IN_PLACE_OF_DJANGO, type RouteSettings } from "./route_settings.ts";
import { refuse } from "./url_source.ts";

/**
 * Tries the certificates of every route, as its first connection would: what only looks like PEM, or a key that is
 * another certificate's, is a mistake in the settings and has to stop the start as one.
 *
 * @throws {SettingsError} with one sentence that names the variable and the fix
 */
export function checkRouteCertificates(routes: readonly RouteSettings[]): void {
  for (const route of routes) {
    const { smtp } = route;
    const variable = route.variable === IN_PLACE_OF_DJANGO ? "EMAIL_SSL_CERTFILE" : route.variable;
    const { trustedCertificates: ca, clientCertificate: ours } = smtp;
    if (ca !== undefined) checkAuthority(ca, { name: "ca", variable });
    if (ours !== undefined) checkPair(ours, variable);
  }
}

/**
 * Tries the certificates of every database likewise.
 *
 * @throws {SettingsError} with one sentence that names the variable and the fix
 */
export function checkDatabaseCertificates(databases: readonly DatabaseSettings[]): void {
  for (const database of databases) {
    if (database.kind === "embedded") continue;
    const { tls: { ca, clientCertificate }, variable } = database;
    if (ca !== undefined) checkAuthority(ca, { name: "sslrootcert", variable });
    if (clientCertificate !== undefined) checkPair(clientCertificate, variable);
  }
}

function checkAuthority(ca: string, { name, variable }: { readonly name: string; readonly variable: string }): void {
  if (faultOf({ ca }) === undefined) return;
  throw refuse({ variable }, `what ${name} names cannot be read as a PEM certificate`, "name a file that is whole");
}

function checkPair(ours: ClientCertificateSettings, variable: string): void {
  const fault = faultOf({ clientCertificate: { cert: ours.cert, key: ours.key.reveal() } });
  if (fault === undefined) return;
  throw fault === "ERR_OSSL_X509_KEY_VALUES_MISMATCH"
    ? refuse({ variable }, "the client certificate and the key do not belong together", "name the files of one pair")
    : refuse({ variable }, "the client certificate or its key cannot be read as PEM", "name files that are whole");
}

/** The code of what is wrong with them; undefined: nothing. */
function faultOf(certificates: Parameters<typeof checkCertificates>[0]): string | undefined {
  try {
    checkCertificates(certificates);
    return undefined;
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    return errorCode(cause) || "unknown";
  }
}
