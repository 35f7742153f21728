import type { ScriptedServerOptions } from "../scripted_server.ts";
import { EHLO, MAIL, TO_ANN, type TransportFault } from "./fault.ts";

const KNOWN = { user: "ann", password: "s3cret" };
const CLIENT = { auth: KNOWN, allowPlaintextAuth: true };
const PLAIN = "AUTH PLAIN AGFubgBzM2NyZXQ=";
const offering = (mechanisms: string) => ({ ehlo: () => `250-scripted.example\r\n250 AUTH ${mechanisms}` });

const XOAUTH2_SERVER: ScriptedServerOptions = {
  auth: KNOWN,
  on: {
    ...offering("XOAUTH2"),
    // {"status":"401"}
    auth: (mechanism) => mechanism === "XOAUTH2" ? { challenge: "eyJzdGF0dXMiOiI0MDEifQ==" } : "504 5.5.4 not that one",
  },
};

/** AUTH (RFC 4954), with credentials that are configured but for the last. */
export const AUTH_FAULTS: readonly TransportFault[] = [
  {
    id: "A01",
    name: "credentials are configured, and AUTH is not offered",
    client: CLIENT,
    expected: ["untried auth_unavailable auth"],
    said: [[EHLO]],
  },
  {
    id: "A02",
    name: "535 to AUTH",
    server: () => ({ auth: { ...KNOWN, password: "another" } }),
    client: CLIENT,
    expected: ["untried auth_rejected auth 535"],
    said: [[EHLO, PLAIN]],
  },
  {
    id: "A03",
    name: "454 4.7.0 to AUTH",
    server: () => ({ auth: KNOWN, on: { auth: () => "454 4.7.0 ask again later" } }),
    client: CLIENT,
    expected: ["untried auth_unavailable auth 454"],
    said: [[EHLO, PLAIN]],
  },
  {
    id: "A04",
    name: "334 with junk instead of the end of AUTH PLAIN",
    server: () => ({ auth: KNOWN, on: { auth: () => ({ challenge: "%%% no base64 %%%" }) } }),
    client: CLIENT,
    expected: ["untried protocol auth 334"],
    said: [[EHLO, PLAIN]],
  },
  {
    id: "A05",
    name: "dropped at AUTH",
    server: () => ({ auth: KNOWN, on: { auth: () => ({ close: undefined }) } }),
    client: CLIENT,
    expected: ["untried closed auth"],
    said: [[EHLO, PLAIN]],
  },
  {
    id: "A06",
    name: "only CRAM-MD5 is offered",
    server: () => ({
      auth: KNOWN,
      on: {
        ...offering("CRAM-MD5"),
        auth: (mechanism) => mechanism === "CRAM-MD5" ? undefined : "504 5.5.4 not that one",
      },
    }),
    client: CLIENT,
    expected: ["untried auth_unavailable auth"],
    said: [[EHLO]],
  },
  {
    id: "A07",
    name: "only XOAUTH2 is offered, and a password is configured",
    server: () => XOAUTH2_SERVER,
    client: CLIENT,
    expected: ["untried auth_unavailable auth"],
    said: [[EHLO]],
  },
  {
    id: "A07",
    name: "only XOAUTH2 is offered, and the token is answered by 334 with an error in JSON",
    server: () => XOAUTH2_SERVER,
    client: { ...CLIENT, auth: { user: "ann", accessToken: () => "old-token" } },
    expected: ["untried auth_rejected auth 535"],
    said: [[EHLO, `AUTH XOAUTH2 ${btoa("user=ann\x01auth=Bearer old-token\x01\x01")}`, ""]],
  },
  {
    id: "A08",
    name: "530 to MAIL",
    server: () => ({ on: { mail: () => "530 5.7.0 authentication required" } }),
    expected: ["untried auth_required mail 530"],
  },
  {
    id: "A09",
    name: "AUTH is offered, not needed and not configured",
    server: () => ({ auth: KNOWN }),
    expected: ["sent final 250"],
    said: [[EHLO, MAIL, TO_ANN, "DATA", "(content)", ".", "QUIT"]],
  },
];
