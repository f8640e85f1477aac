import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { ed25519Signer, signerWith, type Signer } from '../../../client/signing.ts';
import { fingerprintOf, keyOfText, stateOfKey, textOfKey, type PersonKey } from '../../../domain/approval/keys.ts';
import { checkSignature } from '../../../domain/approval/signature.ts';
import { bytesForSsh, encodeSshSignature, sshHashDefault, sshLineOf } from '../../../domain/approval/sshsig.ts';
import { expectedOf } from '../../../domain/approval/statement.ts';
import { statements } from '../../support/statements.ts';

const statement = statements.decision;
const at = Date.parse(statement.at);

/** One Ed25519 key, by which ann signs in both ways. */
function newKey(): { plain: PersonKey; ssh: PersonKey; signPlain: Signer; signSsh: Signer } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const x = publicKey.export({ format: 'jwk' }).x ?? '';
  const key = Buffer.from(x, 'base64url');
  const ssh: PersonKey = { type: 'ssh', key: `${sshLineOf(key)} ann@laptop` };
  const signSsh = signerWith('ann', ssh, async (bytes) =>
    encodeSshSignature({ key, hash: sshHashDefault, signature: sign(null, bytesForSsh(bytes), privateKey) }),
  );
  return {
    plain: { type: 'ed25519', key: x },
    ssh,
    signPlain: ed25519Signer('ann', x, async (bytes) => sign(null, bytes, privateKey)),
    signSsh,
  };
}

const own = newKey();
const other = newKey();

async function codeOf(signer: Signer, keys: readonly PersonKey[], effectAtMs: number | 'signing' = at): Promise<string> {
  const result = checkSignature(await signer.sign(statement), expectedOf(statement), { keys }, effectAtMs);
  return result.ok ? `ok with ${result.key}` : result.code;
}

describe('the type of a key', () => {
  test('says how its signatures are made, never what is sent', async () => {
    expect(await codeOf(own.signPlain, [own.plain])).toBe(`ok with ${own.plain.key}`);
    expect(await codeOf(own.signSsh, [own.ssh])).toBe(`ok with ${textOfKey(own.ssh)}`);
    expect(await codeOf(own.signPlain, [own.ssh])).toBe('algorithm-refused');
    expect(await codeOf(own.signSsh, [own.plain])).toBe('algorithm-refused');
  });

  test('can be several, and any of them signs', async () => {
    const keys = [other.plain, other.ssh, own.plain, own.ssh];
    expect(await codeOf(own.signPlain, keys)).toBe(`ok with ${own.plain.key}`);
    expect(await codeOf(own.signSsh, keys)).toBe(`ok with ${textOfKey(own.ssh)}`);
    expect(await codeOf(own.signSsh, [other.plain, other.ssh])).toBe('signature-forged');
    expect(await codeOf(own.signPlain, [other.plain, other.ssh])).toBe('signature-forged');
  });

  test('is known by its text, as records keep it', () => {
    expect(keyOfText(own.plain.key)).toEqual(own.plain);
    expect(keyOfText(textOfKey(own.ssh) ?? '')).toEqual({ type: 'ssh', key: textOfKey(own.ssh) });
    for (const text of ['', 'oops', 'ssh-rsa AAAA', `${own.plain.key}=`]) expect(keyOfText(text)).toBeUndefined();
  });

  test('changes no fingerprint', () => {
    expect(fingerprintOf(own.plain)).toBe(fingerprintOf(own.ssh));
    expect(fingerprintOf(own.plain)).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
  });

  test('tells what is wrong with an SSH signature, and nothing is taken for one that is none', async () => {
    const [head, payload] = (await own.signSsh.sign(statement)).split('.');
    const sent = (signature: string): unknown =>
      checkSignature(`${head}.${payload}.${signature}`, expectedOf(statement), { keys: [own.ssh] }, at);
    expect(sent('')).toMatchObject({ code: 'statement-malformed', reason: expect.stringContaining('does not begin with SSHSIG') });
    const plain = (await own.signPlain.sign(statement)).split('.')[2] ?? '';
    expect(sent(plain)).toMatchObject({ code: 'statement-malformed' });
  });

  test('that is none makes every signature of its owner count for nothing', async () => {
    expect(await codeOf(own.signPlain, [own.plain, { type: 'ssh', key: 'ssh-ed25519 oops' }])).toBe('key-malformed');
    expect(await codeOf(own.signPlain, [])).toBe('person-unknown');
  });
});

describe('a key counts', () => {
  const hour = 3_600_000;
  const time = (offsetMs: number): string => new Date(at + offsetMs).toISOString();

  // Signed at 0, in effect at the given moment.
  test.each<[string, Partial<PersonKey>, number | 'signing', string]>([
    ['always, where no times are said', {}, hour, 'ok'],
    ['from its first moment on', { from: time(0) }, 0, 'ok'],
    ['not before its first moment', { from: time(1) }, 0, 'key-early'],
    ['not before its first moment, whenever it takes effect', { from: time(1) }, hour, 'key-early'],
    ['until its last moment', { until: time(1) }, 0, 'ok'],
    ['not at the end of its time', { until: time(0) }, 0, 'key-over'],
    ['not when its time has ended before it takes effect', { until: time(hour) }, hour, 'key-over'],
    ['when its time ends after it takes effect', { until: time(hour + 1) }, hour, 'ok'],
    ['not when it was used after its time, though it were to take effect before', { until: time(0) }, -hour, 'key-over'],
    ['not from its revocation on', { revoked: time(hour) }, hour, 'key-revoked'],
    ['before its revocation', { revoked: time(hour + 1) }, hour, 'ok'],
    ['not when it was used after its revocation', { revoked: time(0) }, -hour, 'key-revoked'],
    [
      'not when it is revoked, whatever its other times',
      { from: time(-hour), until: time(hour * 9), revoked: time(-1) },
      hour,
      'key-revoked',
    ],
    ['then, where only that is asked', { until: time(1), revoked: time(2) }, 'signing', 'ok'],
    ['not then, where it was over', { until: time(0) }, 'signing', 'key-over'],
    ['at no moment with a `from` that is no time', { from: 'soon' }, 0, 'key-early'],
    ['at no moment with an `until` that is no time', { until: 'later' }, 0, 'key-over'],
    ['at no moment with a `revoked` that is no time', { revoked: 'never' }, 0, 'key-revoked'],
  ])('%s', async (_what, times, effect, code) => {
    for (const [signer, key] of [
      [own.signPlain, own.plain],
      [own.signSsh, own.ssh],
    ] as const) {
      const moment = effect === 'signing' ? effect : at + effect;
      expect((await codeOf(signer, [{ ...key, ...times }], moment)).split(' ')[0]).toBe(code);
    }
  });

  test('for itself: the time of one is not that of another', async () => {
    const keys: PersonKey[] = [{ ...own.plain, revoked: time(-1) }, other.plain];
    expect(await codeOf(own.signPlain, keys)).toBe('key-revoked');
    expect(await codeOf(other.signPlain, keys)).toBe(`ok with ${other.plain.key}`);
  });

  test('and its state has a name', () => {
    const key: PersonKey = { ...own.plain, from: time(0), until: time(hour), revoked: time(2 * hour) };
    expect([-1, 0, hour - 1, hour, 2 * hour].map((offset) => stateOfKey(key, at + offset))).toEqual([
      'early',
      'good',
      'good',
      'over',
      'revoked',
    ]);
  });
});
