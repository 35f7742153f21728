import { normalizeAddress } from "../../src/address.ts";
import type { Envelope } from "../../src/envelope.ts";
import type { Outcome, Witness } from "../delivery/transport.ts";

/** A mail as it is said to the server: each address once. */
export interface OneEach {
  readonly envelope: Envelope;
  readonly witness: Witness | undefined;
  /** The outcomes of those who were named, as outcomes of the recipients of the mail. */
  spread(outcomes: readonly Outcome[]): readonly Outcome[];
}

/**
 * Of several addresses for one recipient, the outcome that counts: nobody is sent the same again because another was
 * refused.
 */
const RANK: Readonly<Record<Outcome["kind"], number>> = { bounced: 0, deferred: 1, uncertain: 2, sent: 3 };

/**
 * Names each address of an envelope once: a person who is in To and in Cc gets one mail, whose outcome is that of both.
 * A recipient may also have several addresses (the same position more than once).
 *
 * @returns undefined when every recipient has an address to itself, as nearly always
 */
export function oneEach(envelope: Envelope, witness: Witness | undefined): OneEach | undefined {
  const { recipients } = envelope;
  if (recipients.length < 2) return undefined;
  const named = new Map<string, { readonly email: string; readonly positions: Set<number> }>();
  const positions = new Set<number>();
  for (const { email, position } of recipients) {
    const address = normalizeAddress(email);
    const known = named.get(address);
    if (known === undefined) named.set(address, { email, positions: new Set([position]) });
    else known.positions.add(position);
    positions.add(position);
  }
  if (named.size === recipients.length && positions.size === recipients.length) return undefined;

  const all = [...named.values()];
  const standFor = (index: number): readonly number[] => [...all[index]?.positions ?? []];
  const spread = (outcomes: readonly Outcome[]): readonly Outcome[] => {
    const best = new Map<number, Outcome>();
    for (const outcome of outcomes) {
      for (const position of standFor(outcome.position)) {
        const other = best.get(position);
        if (other === undefined || RANK[other.kind] < RANK[outcome.kind]) best.set(position, { ...outcome, position });
      }
    }
    return [...best.values()].sort((a, b) => a.position - b.position);
  };
  return {
    envelope: { ...envelope, recipients: all.map(({ email }, position) => ({ position, email })) },
    witness: witness === undefined ? undefined : {
      mayBegin: () => witness.mayBegin?.() ?? true,
      committing: (indexes) => witness.committing([...new Set(indexes.flatMap(standFor))]),
      concluded: (outcomes) => witness.concluded(spread(outcomes)),
    },
    spread,
  };
}
