/** As docs/mime.md says: fields that programs read, in which a blank too many is left out. */
const FOR_PROGRAMS =
  /^(?:in-reply-to|references|list-.+|auto-submitted|precedence|importance|priority|x-priority|feedback-id|disposition-notification-to)$/i;

/** What a reader finds in a header field that an app has given this value. */
export function valueSent(name: string, value: string): string {
  return FOR_PROGRAMS.test(name) ? value.replace(/ +/g, " ").replace(/^ | $/g, "") : value;
}
