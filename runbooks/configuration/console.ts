import * as z from 'zod';
import { isHost, isOriginOf, readPasskey } from '../../domain/approval/passkey.ts';
import { keysOf, type PersonKeys } from '../../domain/approval/keys.ts';
import type { SourceMap } from '../grammar/document.ts';

const originsMax = 10;

/** Where the console is. */
export interface Console {
  /** Its host, for which passkeys are made: they work at no other one. */
  rpId: string;
  origins: string[];
}

/** `console` of holdpoint.yaml. */
export const consoleGrammar = z.strictObject({
  rpId: z
    .string()
    .refine(isHost, 'must be the name of a host, such as holdpoint.example.com')
    .describe('The host of the console. Passkeys are made for it, and work at no other one: it is for good.'),
  origins: z
    .array(z.string().max(300))
    .min(1)
    .max(originsMax)
    .describe('The addresses of the console, such as https://holdpoint.example.com: what was signed elsewhere does not count.'),
});

type People = Readonly<Record<string, PersonKeys>>;

/** Tells what a grammar cannot: that passkeys are of the console, and that its addresses are of its host. */
export function checkConsole(console: Console | undefined, people: People, sourceMap: SourceMap): void {
  for (const [index, origin] of (console?.origins ?? []).entries()) {
    if (isOriginOf(origin, console?.rpId ?? '')) continue;
    const message = `Must be https://${console?.rpId}, with its port if it has one (http:// on localhost only), and without a path.`;
    sourceMap.error(['console', 'origins', index], message);
  }
  for (const [id, person] of Object.entries(people)) {
    for (const [index, { type, key, until, revoked }] of keysOf(person).entries()) {
      const passkey = type === 'passkey' ? readPasskey(key) : undefined;
      // One of an old host is kept for what was signed with it.
      if (!passkey || passkey.rpId === console?.rpId || until !== undefined || revoked !== undefined) continue;
      const where = console ? `and console.rpId is ${console.rpId}` : 'and there is no `console`';
      const message = `Is of the host ${passkey.rpId}, ${where}: it can sign nothing. Give it an \`until\`, and enrol another passkey.`;
      sourceMap.error(['people', id, 'keys', index, 'key'], message);
    }
  }
}

/** People whose passkeys know where they may be used. */
export function withOrigins<Of extends PersonKeys>(people: Record<string, Of>, console: Console | undefined): Record<string, Of> {
  const knowing = (person: Of): Of => ({
    ...person,
    ...(person.keys && { keys: person.keys.map((key) => (key.type === 'passkey' ? { ...key, origins: console?.origins ?? [] } : key)) }),
  });
  return Object.fromEntries(Object.entries(people).map(([id, person]) => [id, knowing(person)]));
}
