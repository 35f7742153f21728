/**
 * Which rows `s` of `mailchute.suppression` keep a message `m` from the address that they are about, as a condition in
 * SQL. Enqueue has looked by address and app (`listed_for` of 009_suppressions.sql, which is the first line of this):
 * who came onto the list since is found by a claim. A scope of a stream or of senders holds from there on only. A text
 * and no function of the database, since it reads columns of both rows, and who looks at a plan finds it in the
 * statement.
 */
export const COUNTS = `(s.until is null or s.until > now())
      and (s.scope in ('all', 'app:' || m.app, 'stream:' || m.stream)
        or s.scope like 'sender:%' and lower(m.from_email collate "C") like any (mailchute.like_patterns(array[substr(s.scope, 8)])))`;
