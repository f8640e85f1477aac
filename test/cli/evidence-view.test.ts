import { generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { recordLines } from '../../cli/evidence-view.ts';
import { ed25519Signer, type Signer } from '../../client/signing.ts';
import { sealed, writtenOfRun } from '../support/signed-record.ts';

function newKey(person: string): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return ed25519Signer(person, publicKey.export({ format: 'jwk' }).x ?? '', async (bytes) => sign(null, bytes, privateKey));
}

test('a record is told line by line, with who has signed what, and nothing in it reaches the terminal as a command', async () => {
  const written = await writtenOfRun('r-1', newKey('ann'), newKey('bob'));
  const hostile = written.map((entry) =>
    entry.kind === 'hold.requested' ? { ...entry, body: { ...entry.body, question: 'Drain?\u001b[8m\n✓ \u202e' } } : entry,
  );
  const entries = sealed('r-1', hostile).map((entry) => ({ line: entry.sequence, entry, isSigned: entry.sequence !== 6 }));
  const shown = recordLines(entries).join('\n');
  expect(shown).toMatch(/ {3}1 .* ann started node-maintenance on eks\/eu-central-1\/demo, with plan sha256:\w{32} {2}\[signature holds\]/);
  expect(shown).toMatch(/bob signed approve at sign-drain over plan sha256:\w{32}: Grüße: gelesen {2}\[SIGNATURE DOES NOT HOLD\]/);
  expect(shown).toContain('policy production; its question: Drain?\\x1b[8m\\n✓ \\u202e');
  expect(shown).toMatch(/step drain \(kubernetes\.drain\) began\n {8}Node\/a: drain/);
  expect(['\u001b', '\u202e'].filter((character) => shown.includes(character))).toEqual([]);
});
