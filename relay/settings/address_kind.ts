import { normalizeAddress, parseAddress } from "../../src/address.ts";
import { hasControl, type Kind, Wrong } from "./kind.ts";
import { Secret } from "./secret.ts";

/** One address without a name. */
export function address(example: string): Kind<string> {
  return { form: `an address such as ${example}`, parse: bareAddress };
}

const MOST_ADDRESSES = 10;

/** Some addresses, joined by commas. */
export const addresses: Kind<readonly string[]> = {
  form: `1 to ${MOST_ADDRESSES} addresses, joined by commas`,
  parse: (value) => {
    const parts = value.split(",").map((part) => part.trim());
    if (parts.length > MOST_ADDRESSES) return new Wrong(`it has ${parts.length} addresses`);
    const parsed: string[] = [];
    for (const part of parts) {
      const email = bareAddress(part);
      if (email instanceof Wrong) return new Wrong(`${JSON.stringify(part)} is no address: ${email.because}`);
      if (parsed.some((other) => normalizeAddress(other) === normalizeAddress(email))) {
        return new Wrong(`${JSON.stringify(part)} is in it twice`);
      }
      parsed.push(email);
    }
    return parsed;
  },
};

/** Patterns of addresses, as `mailchute grants --to` takes them. */
export const addressPatterns: Kind<readonly string[]> = {
  form: "patterns such as ann@corp.example or *@corp.example, joined by commas",
  parse: (value) => {
    const patterns = value.split(",").map((part) => part.trim());
    for (const pattern of patterns) {
      const shown = JSON.stringify(pattern);
      if (!/^[^\s<>,;"]+$/.test(pattern) || (pattern !== "*" && !pattern.includes("@"))) {
        return new Wrong(`${shown} is no address pattern`);
      }
      if (/[^\0-\x7f]/.test(pattern.slice(pattern.lastIndexOf("@")))) {
        return new Wrong(
          `the domain of ${shown} is not ASCII`,
          "write it as it travels, such as *@xn--mnchen-3ya.example",
        );
      }
    }
    return patterns;
  },
};

/** A server, or what a relay listens on. @param port the setting that has its port */
export function hostName(port: string): Kind<string> {
  return {
    form: "a host name or an IP address",
    parse: (value) => hasControl(value) ?? hostProblem(value, port) ?? value,
  };
}

function hostProblem(value: string, port: string): Wrong | undefined {
  const alone = `write the host alone, and its port in ${port}`;
  if (value.includes("://")) return new Wrong("it is a URL", alone);
  // More than one colon: an address of IPv6, perhaps with its zone.
  if (/^[\dA-Fa-f.]*:[\dA-Fa-f.]*:[\dA-Fa-f:.]*(%[\w.-]+)?$/.test(value)) return undefined;
  if (/^(\[.*\]|[^:]*):\d*$/.test(value)) return new Wrong("it has a port", alone);
  if (/^\[.*\]$/.test(value)) return new Wrong("it is in brackets, which only URLs have", "write it without");
  return /^[\w.-]{1,255}$/.test(value) ? undefined : new Wrong(
    "it has characters that no host has",
    "write the name as DNS has it, such as mail.xn--mnchen-3ya.example, or an IP address",
  );
}

/** A web address that may hold a key. */
export const webUrl: Kind<Secret> = {
  form: "an http:// or https:// URL",
  secret: true,
  parse: (value) => {
    const url = URL.canParse(value) ? new URL(value) : undefined;
    return url?.protocol === "http:" || url?.protocol === "https:"
      ? new Secret(value)
      : new Wrong("it is no web address");
  },
};

function bareAddress(value: string): string | Wrong {
  const result = parseAddress(value);
  if (!result.ok) return new Wrong(result.reason);
  return result.mailbox.name === undefined ? result.mailbox.email : new Wrong("it has a name, which SMTP cannot carry");
}
