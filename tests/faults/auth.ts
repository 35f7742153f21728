import { EHLO, MAIL, TO_ANN, type TransportFault } from "./fault.ts";

const KNOWN = { user: "ann", password: "s3cret" };
const CLIENT = { auth: KNOWN, allowPlaintextAuth: true };
const PLAIN = "AUTH PLAIN AGFubgBzM2NyZXQ=";
const offering = (mechanisms: string) => ({ ehlo: () => `250-scripted.example\r\n250 AUTH ${mechanisms}` });

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
    server: () => ({ auth: KNOWN, on: { auth: () => ({ raw: "334 %%% no base64 %%%\r\n" }) } }),
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
      on: { ...offering("CRAM-MD5"), auth: () => ({ raw: "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2U+\r\n" }) },
    }),
    client: CLIENT,
    expected: ["untried auth_unavailable auth"],
    said: [[EHLO]],
  },
  {
    id: "A07",
    name: "only XOAUTH2 is offered, which answers 334 with an error in JSON",
    server: () => ({
      auth: KNOWN,
      // {"status":"401"}
      on: { ...offering("XOAUTH2"), auth: () => ({ raw: "334 eyJzdGF0dXMiOiI0MDEifQ==\r\n" }) },
    }),
    client: CLIENT,
    expected: ["untried auth_unavailable auth"],
    said: [[EHLO]],
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
