import fc from "fast-check";
import { BROKEN, NEEDED, OPTIONAL, subject } from "./fields.ts";

type Fields = Readonly<Record<string, unknown>>;

/** How an app makes its objects. */
const SHAPES = ["plain", "frozen", "without prototype", "getters", "proxy"] as const;

/** What an app hands to `send`. */
export interface MessageDraft {
  readonly fields: Fields;
  /** Whether the docs allow every field of it. */
  readonly isValid: boolean;
  readonly shape: typeof SHAPES[number];
}

/** Fields that make a mail. */
export const goodFields: fc.Arbitrary<Fields> = fc.tuple(
  fc.record({ subject }),
  some(NEEDED, ["to", "cc", "bcc"], 1),
  some(NEEDED, ["text", "html"], 1),
  some(OPTIONAL, Object.keys(OPTIONAL), 0, 5),
).map((parts) => Object.assign({}, ...parts));

/** Some fields with a fault. */
export const badFields: fc.Arbitrary<Fields> = fc.oneof(
  // One alone is what shows whether it is let through.
  { weight: 4, arbitrary: some(BROKEN, Object.keys(BROKEN), 1, 1) },
  { weight: 1, arbitrary: some(BROKEN, Object.keys(BROKEN), 2, 4) },
);

/** A mail as an app may write it: mostly good, some with one to three fields that are wrong. */
export const messageDraft: fc.Arbitrary<MessageDraft> = fc.record({
  good: goodFields,
  bad: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 2, arbitrary: badFields }),
  shape: fc.constantFrom(...SHAPES),
}).map(({ good, bad, shape }) => ({ fields: { ...good, ...bad }, isValid: bad === undefined, shape }));

/** The object that the app hands over. */
export function shaped({ fields, shape }: Pick<MessageDraft, "fields" | "shape">): object {
  if (shape === "frozen") return Object.freeze({ ...fields });
  if (shape === "proxy") return new Proxy({ ...fields }, {});
  if (shape === "without prototype") return Object.assign(Object.create(null), fields);
  if (shape === "plain") return { ...fields };
  const getters = Object.entries(fields).map(([name, value]) =>
    [name, { get: () => value, enumerable: true }] as const
  );
  return Object.defineProperties({}, Object.fromEntries(getters));
}

/** Some of these fields. */
export function some(
  from: Readonly<Record<string, fc.Arbitrary<unknown>>>,
  names: readonly string[],
  minLength: number,
  maxLength = names.length,
): fc.Arbitrary<Fields> {
  return fc.subarray([...names], { minLength, maxLength }).chain((chosen) =>
    fc.record(Object.fromEntries(chosen.map((name) => [name, from[name] as fc.Arbitrary<unknown>])))
  );
}
