/** What nodemailer, 6 to 10, hands to a transport: by its shape, so that this package needs none of its versions. */
export interface ComposedMail {
  /** What the app gave to `sendMail`, with the transporter's defaults. */
  readonly data: object;
  /** The root of the MIME tree that nodemailer has made of it; its header fields are looked at, and its body never. */
  readonly message: {
    getHeader(name: string): unknown;
    getAddresses(): object;
    getEnvelope(): { readonly from: unknown; readonly to: readonly string[] };
  };
  /** Parses the addresses and reads streams, files and URLs, as far as the app lets nodemailer do so. */
  normalize(callback: (error: Error | null, data: object) => void): void;
}

/** The fields of a mail, whatever they hold. */
export type Data = Readonly<Record<string, unknown>>;

/** Reports one fault of a field, by the name that nodemailer has for it. */
export type AddFault = (path: string, message: string) => void;

/** The data of a mail with its content read. */
export function normalized(mail: ComposedMail): Promise<Data> {
  return new Promise((resolve, reject) => {
    mail.normalize((error, data) => error ? reject(error) : resolve(data as Data));
  });
}
