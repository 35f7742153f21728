import { AUTH_FAULTS } from "./auth.ts";
import { CONNECT_FAULTS } from "./connect.ts";
import { DATA_FAULTS } from "./data.ts";
import { EHLO_FAULTS } from "./ehlo.ts";
import { ENVELOPE_FAULTS } from "./envelope.ts";
import type { RelayFault, TransportFault } from "./fault.ts";
import { RELAY_FAULTS as WITH_DATABASE } from "./relay.ts";
import { SESSION_FAULTS } from "./session.ts";
import { SLOW_READER_FAULTS } from "./slow_reader.ts";
import { TLS_FAULTS } from "./tls.ts";

/** All that a transport can show. */
export const TRANSPORT_FAULTS: readonly TransportFault[] = [
  ...CONNECT_FAULTS,
  ...EHLO_FAULTS,
  ...TLS_FAULTS,
  ...AUTH_FAULTS,
  ...ENVELOPE_FAULTS,
  ...DATA_FAULTS,
  ...SESSION_FAULTS,
];

/** All that takes more than a transport and a scripted server. */
export const RELAY_FAULTS: readonly RelayFault[] = [...WITH_DATABASE, ...SLOW_READER_FAULTS];
