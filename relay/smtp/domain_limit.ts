import { domainOf } from "../../src/address.ts";
import type { Mail } from "./command.ts";

/** How many connections may be busy with mail for one recipient domain. */
export class DomainLimit {
  readonly #most: number;
  readonly #busy = new Map<string, number>();

  /** @param most Infinity: no limit, and nothing is counted */
  constructor(most: number) {
    this.#most = most;
  }

  get isLimited(): boolean {
    return this.#most !== Infinity;
  }

  /** The domains of a mail's recipients: asked for once, since a mail that waits is looked at often. */
  domainsOf({ envelope }: Mail): readonly string[] {
    return this.isLimited ? [...new Set(envelope.recipients.map(({ email }) => domainOf(email)))] : [];
  }

  /** Whether one more mail for these may begin. */
  allows(domains: readonly string[]): boolean {
    return domains.every((domain) => (this.#busy.get(domain) ?? 0) < this.#most);
  }

  began(domains: readonly string[]): void {
    for (const domain of domains) this.#busy.set(domain, (this.#busy.get(domain) ?? 0) + 1);
  }

  ended(domains: readonly string[]): void {
    for (const domain of domains) {
      const left = (this.#busy.get(domain) ?? 1) - 1;
      if (left > 0) this.#busy.set(domain, left);
      else this.#busy.delete(domain);
    }
  }
}
