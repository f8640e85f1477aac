import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import { describe, expect, test } from '@jest/globals';
import { fingerprintOf, keyOfText, textOfKey, type PersonKey } from '../../../domain/approval/keys.ts';
import {
  bytesSignedByPasskey,
  challengeOf,
  enrolmentChallenge,
  readPasskeySignature,
  signedByPasskey,
  spkiOf,
  textOfPasskey,
} from '../../../domain/approval/passkey.ts';
import { checkSignature } from '../../../domain/approval/signature.ts';
import { bytesOfStatement, expectedOf, type ExpectedStatement, type Statement } from '../../../domain/approval/statement.ts';
import { consoleOrigin, newPasskey, type AssertionOptions, type SoftwarePasskey } from '../../support/authenticator.ts';
import { statements, statementsByKind } from '../../support/statements.ts';

const statement = statements.decision;
const at = Date.parse(statement.at);
const own = newPasskey('ES256');
const synced = newPasskey('EdDSA', { deviceBound: false });
const flags = { present: 0x01, verified: 0x04, eligible: 0x08, backedUp: 0x10 };

/** Signs a statement as a page does that can say anything. */
function signed(options: AssertionOptions = {}, by: SoftwarePasskey = own, said: Statement = statement): string {
  const bytes = bytesOfStatement(said);
  return signedByPasskey(bytes, by.passkey, by.assert(challengeOf(bytes), options));
}

function codeOf(text: string, keys: readonly PersonKey[] = [own.key], expected: ExpectedStatement = expectedOf(statement)): string {
  const result = checkSignature(text, expected, { keys }, at);
  return result.ok ? `ok with ${result.key}` : result.code;
}

/** A second reading of the rules, over node:crypto, that shares nothing with the first: whether a text counts for a statement. */
function holdsBySecondVerifier(text: string, key: string, origins: readonly string[], expected: Statement): boolean {
  const [, algorithm, kind, host = '', credential, spki = ''] = key.split(':');
  const parts = text.split('.');
  const strict = parts.slice(1).map((part) => Buffer.from(part, 'base64url'));
  const isStrict = strict.every((bytes, place) => bytes.toString('base64url') === parts[place + 1]);
  const [said, , data, client, signature] = strict;
  if (parts[0] !== 'hp-passkey' || parts.length !== 6 || !isStrict || !said || !data || !client || !signature) return false;
  const sha256 = (...bytes: (string | Buffer)[]): Buffer => {
    const hash = createHash('sha256');
    for (const one of bytes) hash.update(one);
    return hash.digest();
  };
  try {
    const told = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(client)) as Record<string, unknown>;
    const flag = data[32] ?? 0;
    const publicKey = createPublicKey({ key: Buffer.from(spki, 'base64url'), format: 'der', type: 'spki' });
    const halfOrder = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n >> 1n;
    const s = algorithm === 'ES256' ? signature.subarray(4 + (signature[3] ?? 0) + 2) : Buffer.alloc(1);
    return (
      parts[2] === credential &&
      told.type === 'webauthn.get' &&
      told.challenge === sha256('holdpoint statement v1\n', said).toString('base64url') &&
      origins.includes(String(told.origin)) &&
      told.crossOrigin !== true &&
      !('topOrigin' in told) &&
      data.length >= 37 &&
      data.subarray(0, 32).equals(sha256(host)) &&
      (flag & 0x05) === 0x05 &&
      (flag & 0x08) === (kind === 'synced' ? 0x08 : 0) &&
      ((flag & 0x10) === 0 || (flag & 0x08) !== 0) &&
      BigInt(`0x${s.toString('hex') || '0'}`) <= halfOrder &&
      verify(algorithm === 'ES256' ? 'sha256' : null, Buffer.concat([data, sha256(client)]), publicKey, signature) &&
      JSON.stringify(Object.entries(JSON.parse(said.toString()) as object).sort()) === JSON.stringify(Object.entries(expected).sort())
    );
  } catch {
    return false;
  }
}

/** What both verifiers say of a text; they must agree. */
function verdict(text: string, { key }: SoftwarePasskey = own): string {
  const code = codeOf(text, [key]);
  expect(holdsBySecondVerifier(text, key.key, key.origins ?? [], statement)).toBe(code.startsWith('ok'));
  return code;
}

describe('what a passkey has signed', () => {
  test.each(statementsByKind)('counts for a statement of kind %s, and for nothing else', (_kind, said) => {
    expect(codeOf(signed({}, own, said), [own.key], expectedOf(said))).toBe(`ok with ${own.key.key}`);
    const other: ExpectedStatement = { ...expectedOf(said), person: 'bob' };
    expect(codeOf(signed({}, own, said), [own.key], other)).toBe('claim-differs');
  });

  test('counts beside other keys of the person, from both algorithms, on any address of the console', () => {
    const keys = [synced.key, { ...own.key, origins: ['https://holdpoint.example.com:8443', consoleOrigin] }];
    expect(codeOf(signed(), keys)).toBe(`ok with ${own.key.key}`);
    expect(codeOf(signed({}, synced), keys)).toBe(`ok with ${synced.key.key}`);
    expect(verdict(signed())).toMatch('ok');
    expect(verdict(signed({}, synced), synced)).toMatch('ok');
    // Chromium adds a member at times, to keep servers from comparing the text.
    expect(verdict(signed({ client: { other_keys_can_be_added_here: 'x' } }))).toMatch('ok');
  });

  test.each<[string, AssertionOptions, string]>([
    ['for another challenge', { challenge: Buffer.alloc(32).toString('base64url') }, 'passkey-challenge-differs'],
    ['for the challenge in another spelling', { challenge: '' }, 'passkey-challenge-differs'],
    ['on a page of another host', { origin: 'https://holdpoint.example.org' }, 'passkey-origin-differs'],
    ['on a page of a host below', { origin: 'https://evil.holdpoint.example.com' }, 'passkey-origin-differs'],
    ['on another port', { origin: `${consoleOrigin}:8443` }, 'passkey-origin-differs'],
    ['without encryption', { origin: 'http://holdpoint.example.com' }, 'passkey-origin-differs'],
    ['for another host', { rpId: 'example.com' }, 'passkey-origin-differs'],
    ['in a frame of another origin', { client: { crossOrigin: true } }, 'passkey-framed'],
    ['in a frame, below another page', { client: { topOrigin: consoleOrigin } }, 'passkey-framed'],
    ['without a PIN or a finger', { flags: flags.present }, 'passkey-user-not-verified'],
    ['with nobody present', { flags: flags.verified }, 'passkey-flags-wrong'],
    ['with a key that can be copied now', { flags: flags.present | flags.verified | flags.eligible }, 'passkey-flags-wrong'],
    ['backed up though it cannot be', { flags: flags.present | flags.verified | flags.backedUp }, 'passkey-flags-wrong'],
    ['when a passkey was made', { type: 'webauthn.create' }, 'statement-malformed'],
  ])('%s is refused', (_what, options, code) => {
    expect(verdict(signed(options))).toBe(code);
  });

  test('by a synced passkey that is bound to a device now is refused', () => {
    expect(verdict(signed({ flags: flags.present | flags.verified }, synced), synced)).toBe('passkey-flags-wrong');
  });

  test.each<[string, (parts: string[]) => string[], string]>([
    ['with a part too many', (parts) => [...parts, 'AA'], 'statement-malformed'],
    ['with a part too few', (parts) => parts.slice(0, -1), 'statement-malformed'],
    ['with a part in another spelling', (parts) => parts.with(5, `${parts[5]}=`), 'statement-malformed'],
    ['with client data that are no JSON', (parts) => parts.with(4, 'AAAA'), 'statement-malformed'],
    ['with half of the authenticator data', (parts) => parts.with(3, parts[3]?.slice(0, 48) ?? ''), 'statement-malformed'],
    ['with another credential', (parts) => parts.with(2, synced.passkey.credential), 'passkey-unknown'],
    ['without a signature', (parts) => parts.with(5, ''), 'signature-forged'],
    ['with a counter changed', (parts) => parts.with(3, `${parts[3]?.slice(0, -2)}AA`), 'signature-forged'],
    [
      'with another statement',
      (parts) => parts.with(1, Buffer.from(bytesOfStatement({ ...statement, decision: 'reject' })).toString('base64url')),
      'passkey-challenge-differs',
    ],
  ])('%s is refused', (_what, change, code) => {
    expect(verdict(change(signed().split('.')).join('.'))).toBe(code);
  });

  test('by another key is refused, and so is a passkey nobody has enrolled, and a text longer than any', () => {
    const other = newPasskey();
    const passkey = { ...other.passkey, credential: own.passkey.credential };
    expect(verdict(signed({}, { ...other, passkey }))).toBe('signature-forged');
    expect(verdict(signed({}, other))).toBe('passkey-unknown');
    expect(codeOf(signed(), [{ type: 'ed25519', key: Buffer.alloc(32, 1).toString('base64url') }])).toBe('passkey-unknown');
    expect(codeOf(signed({ client: { x: 'x'.repeat(9_000) } }))).toBe('statement-too-large');
  });

  test('has one text: nobody makes a second one of a signature that they have seen', () => {
    const parts = signed().split('.');
    const { r, s } = p256.Signature.fromBytes(Buffer.from(parts[5] ?? '', 'base64url'), 'der');
    const mirrored = new p256.Signature(r, p256.Point.CURVE().n - s).toBytes('der');
    const other = parts.with(5, Buffer.from(mirrored).toString('base64url')).join('.');
    expect(verdict(other)).toBe('signature-forged');
    // An authenticator makes either of the two.
    const read = readPasskeySignature(parts.join('.'));
    if (!read) throw new Error('the text was to be read');
    expect(signedByPasskey(read.statement, own.passkey, { ...read, signature: mirrored })).toBe(parts.join('.'));
  });

  test('counts no more with any bit of it changed', () => {
    const texts = [signed(), signed({}, synced)];
    fc.assert(
      fc.property(fc.constantFrom(0, 1), fc.nat(4), fc.nat(), fc.nat(7), (which, part, place, bit) => {
        const parts = (texts[which] ?? '').split('.');
        const bytes = Buffer.from(parts[part + 1] ?? '', 'base64url');
        bytes[place % bytes.length] = (bytes[place % bytes.length] ?? 0) ^ (1 << bit);
        const changed = parts.with(part + 1, bytes.toString('base64url')).join('.');
        expect(verdict(changed, which === 0 ? own : synced)).not.toMatch('ok');
      }),
      { numRuns: 60 },
    );
  });

  test('is over a hash that no enrolment has', () => {
    const enrolment = enrolmentChallenge({ person: 'ann', rpId: own.passkey.rpId, at: statement.at });
    expect(verdict(signed({ challenge: Buffer.from(enrolment).toString('base64url') }))).toBe('passkey-challenge-differs');
    expect(enrolment).not.toEqual(enrolmentChallenge({ person: 'bob', rpId: own.passkey.rpId, at: statement.at }));
  });
});

test.each<[string, SoftwarePasskey, string[]]>([
  ['ES256', own, ['dgst', '-sha256', '-verify', 'key', '-signature', 'signature', 'signed']],
  ['EdDSA', synced, ['pkeyutl', '-verify', '-pubin', '-inkey', 'key', '-rawin', '-in', 'signed', '-sigfile', 'signature']],
])('openssl verifies a signature of %s', (_algorithm, by, command) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'holdpoint-passkey-'));
  try {
    const read = readPasskeySignature(signed({}, by));
    if (!read) throw new Error('the text was to be read');
    const pem = createPublicKey({ key: Buffer.from(spkiOf(by.passkey)), format: 'der', type: 'spki' });
    writeFileSync(path.join(folder, 'key'), pem.export({ format: 'pem', type: 'spki' }));
    writeFileSync(path.join(folder, 'signed'), bytesSignedByPasskey(read));
    writeFileSync(path.join(folder, 'signature'), read.signature);
    expect(execFileSync('openssl', command, { cwd: folder, encoding: 'utf8' })).toMatch(/verified/i);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

describe('the text of a passkey', () => {
  test('is what records keep, and has a fingerprint', () => {
    for (const { passkey, key } of [own, synced]) {
      expect(keyOfText(textOfPasskey(passkey))).toEqual({ type: 'passkey', key: key.key });
      expect(textOfKey(key)).toBe(textOfPasskey(passkey));
      expect(fingerprintOf(key)).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
    }
  });

  test.each<[string, (text: string) => string]>([
    ['another algorithm', (text) => text.replace('ES256', 'RS256')],
    ['the algorithm of another key', (text) => text.replace('ES256', 'EdDSA')],
    ['another kind', (text) => text.replace('device-bound', 'bound')],
    ['no host', (text) => text.replace(own.passkey.rpId, '')],
    ['a host in capitals', (text) => text.replace('holdpoint.', 'Holdpoint.')],
    ['a host that is none', (text) => text.replace('holdpoint.', 'holdpoint..')],
    ['no credential', (text) => text.replace(own.passkey.credential, '')],
    ['a key cut off', (text) => text.slice(0, -2)],
    ['a point that is not on the curve', (text) => `${text.slice(0, -4)}AAAA`],
  ])('with %s is none', (_what, change) => {
    expect(keyOfText(change(own.key.key))).toBeUndefined();
  });
});

test('a key counts for what was signed with it by its times, as every key', () => {
  expect(codeOf(signed(), [{ ...own.key, revoked: statement.at }])).toBe('key-revoked');
  expect(codeOf(signed(), [{ ...own.key, until: statement.at }])).toBe('key-over');
  // As a record names it: any origin of its host.
  expect(codeOf(signed({ origin: `${consoleOrigin}:8443` }), [{ type: 'passkey', key: own.key.key }])).toMatch('ok');
  expect(codeOf(signed({ origin: 'https://holdpoint.example.org' }), [{ type: 'passkey', key: own.key.key }])).toBe(
    'passkey-origin-differs',
  );
});
