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

  /** Whether one more mail may begin. */
  allows(mail: Mail): boolean {
    if (!this.isLimited || this.#busy.size === 0) return true;
    return domainsOf(mail).every((domain) => (this.#busy.get(domain) ?? 0) < this.#most);
  }

  began(mail: Mail): void {
    if (!this.isLimited) return;
    for (const domain of domainsOf(mail)) this.#busy.set(domain, (this.#busy.get(domain) ?? 0) + 1);
  }

  ended(mail: Mail): void {
    if (!this.isLimited) return;
    for (const domain of domainsOf(mail)) {
      const left = (this.#busy.get(domain) ?? 1) - 1;
      if (left > 0) this.#busy.set(domain, left);
      else this.#busy.delete(domain);
    }
  }
}

function domainsOf({ envelope }: Mail): readonly string[] {
  return [...new Set(envelope.recipients.map(({ email }) => domainOf(email)))];
}
