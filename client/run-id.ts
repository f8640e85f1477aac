import { randomInt } from 'node:crypto';

/** Without letters and digits that are taken for one another when read aloud. */
const alphabet = '23456789abcdefghjkmnpqrstvwxyz';
const randomLength = 6;

/** A new id of a run, e.g. `r-20261121-7kq2m4`: short enough to say, sorted by day. */
export function newRunId(now: Date): string {
  const day = now.toISOString().slice(0, 10).replaceAll('-', '');
  const random = Array.from({ length: randomLength }, () => alphabet[randomInt(alphabet.length)]).join('');
  return `r-${day}-${random}`;
}
