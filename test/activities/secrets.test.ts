import { describe, expect, test } from '@jest/globals';
import { rememberSecret, withoutCredentials, withoutSecrets } from '../../activities/secrets.ts';

/** Not of a shape that tells what it is. */
const opaque = 'opaque?token+of/somebody';

describe('what was sent is taken out of what is answered', () => {
  test.each<[string, string]>([
    ['as it is', opaque],
    ['as it stands in addresses', encodeURIComponent(opaque)],
    ...['', 'B', 'Be', 'Bearer '].map((before): [string, string] => {
      return [`in base64 behind ${before.length} characters`, Buffer.from(`${before}${opaque} and more`).toString('base64')];
    }),
    ['in base64 of addresses', Buffer.from(`Bearer ${opaque} and more`).toString('base64url')],
  ])('%s', (_how, sent) => {
    rememberSecret(opaque);
    const told = withoutCredentials(`the server said: ${sent}, and no more`);
    expect(told).toMatch(/^the server said: .*\(left out\).*, and no more$/);
    for (const text of [told, ...told.split(/[^\w+/=-]+/).flatMap((word) => decoded(word))]) {
      for (const part of [opaque.slice(2, -2), encodeURIComponent(opaque)]) expect(text).not.toContain(part);
    }
  });

  test('the newest credentials are remembered, and no more of them than fit', () => {
    for (let index = 0; index < 1_000; index += 1) rememberSecret(`credential-${index}-`);
    expect(withoutCredentials('credential-0- credential-999-')).toBe('credential-0- (left out)');
  });
});

function decoded(word: string): string[] {
  return ['', 'A', 'AA', 'AAA'].map((before) => Buffer.from(before + word, 'base64').toString('latin1'));
}

test.each<[string, string]>([
  ['Authorization: Bearer abcdefghijkl', 'Authorization: Bearer (left out)'],
  ['it got basic dXNlcjpwYXNzd29yZA==', 'it got basic (left out)'],
  ['eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln is not valid', '(left out) is not valid'],
  ['the key AKIAIOSFODNN7EXAMPLE', 'the key (left out)'],
  ['xoxb-1234-abcd was revoked', '(left out) was revoked'],
  ['connect to https://user:word@host:443/path failed', 'connect to https://(left out)@host:443/path failed'],
])('what looks like nothing but a credential is taken out: %s', (said, told) => {
  expect(withoutCredentials(said)).toBe(told);
});

test.each([
  'pods "storefront-7d9c6b5f4-a-very-long-name-of-a-pod-in-a-namespace-x2k9q" is forbidden: secrets "db-password" not found',
  'admission webhook "policy.example.com" denied the request: see https://example.com/@team/page',
  `arn:aws:eks:eu-central-1:123456789012:nodegroup/demo/blue/${'a1b2c3d4'.repeat(4)}`,
])('names stay as they are: %s', (said) => {
  expect(withoutCredentials(said)).toBe(said);
});

test('what a program says that works with secrets is told without anything that may be one', () => {
  expect(withoutSecrets('session_token=abc; then it failed')).toBe('session_token=(left out); then it failed');
});
