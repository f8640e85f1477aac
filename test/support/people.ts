import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createKey, readKey } from '../../client/keys.ts';
import type { Signer } from '../../client/signing.ts';

/** Who works on a test's site: dana starts runs, ada and grace may sign. */
export const people = ['dana', 'ada', 'grace'] as const;
export type Person = (typeof people)[number];

/** A key for each of them, in a directory. */
export async function makeKeys(directory: string): Promise<Record<Person, Signer>> {
  const keys: [Person, Signer][] = [];
  for (const person of people) {
    await createKey(person, directory);
    keys.push([person, await readKey(person, directory)]);
  }
  return Object.fromEntries(keys) as Record<Person, Signer>;
}

/** One of the two signs, as the shipped runbooks ask for it; both of them where data are brought back. */
const shippedPolicy =
  'production-change: { atLeast: 1, of: sre, exclude: [requester] }, data-restore: { atLeast: 2, of: sre, exclude: [requester] }';

/** Writes a holdpoint.yaml that knows them, with one policy, as a line of YAML; returns its path. */
export async function writeConfiguration(directory: string, keys: Record<Person, Signer>, policy = shippedPolicy): Promise<string> {
  const file = join(directory, 'holdpoint.yaml');
  const lines = [
    'apiVersion: holdpoint.dev/v1',
    'kind: Configuration',
    'people:',
    ...people.map((person) => `  ${person}: { name: ${person}, key: ${keys[person].publicKey} }`),
    'groups: { sre: [ada, grace] }',
    `policies: { ${policy} }`,
    'evidence: { directory: evidence }',
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  return file;
}
