import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { checkWithKey } from '../../../domain/approval/keys.ts';
import {
  armored,
  bytesForSsh,
  bytesOfArmor,
  decodeSshSignature,
  encodeSshSignature,
  readSshKey,
  readSshLine,
  sshKeyBlob,
  sshLineOf,
} from '../../../domain/approval/sshsig.ts';

/**
 * Made by OpenSSH 9.2: `printf 'a message' | ssh-keygen -Y sign -n holdpoint -f id`, with a key that was thrown away then.
 */
const ofOpenSsh = {
  line: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0vKFHEDY6pzR5KRijtHgpbFRVC1Jv77HwgmlxyzlkU ann@laptop',
  message: 'a message',
  armor: [
    '-----BEGIN SSH SIGNATURE-----',
    'U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgHS8oUcQNjqnNHkpGKO0eClsVFU',
    'LUm/vsfCCaXHLOWRQAAAAJaG9sZHBvaW50AAAAAAAAAAZzaGE1MTIAAABTAAAAC3NzaC1l',
    'ZDI1NTE5AAAAQOmOXA97LrOdHsb/H4JHz4QLZOcD9rQwfrfXyY3CIAVetfI/XzfOv59FQq',
    'hqaH8HMXlOoW9lAMoVYQwNv0fXQAU=',
    '-----END SSH SIGNATURE-----',
    '',
  ].join('\n'),
};

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const key = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
const message = Buffer.from('what is signed');
const signature = sign(null, bytesForSsh(message), privateKey);
const person = { type: 'ssh', key: sshLineOf(key) } as const;

const number = (value: number): Buffer => Buffer.from(value.toString(16).padStart(8, '0'), 'hex');
const part = (bytes: string | Uint8Array): Buffer => Buffer.concat([number(Buffer.from(bytes).length), Buffer.from(bytes)]);
const typed = (bytes: Uint8Array, type = 'ssh-ed25519'): Buffer => Buffer.concat([part(type), part(bytes)]);

/** The fields of a signature in their order; a test breaks one of them. */
const fields: Record<string, Buffer> = {
  preamble: Buffer.from('SSHSIG'),
  version: number(1),
  key: part(typed(key)),
  namespace: part('holdpoint'),
  reserved: part(''),
  hash: part('sha512'),
  signature: part(typed(signature)),
  end: Buffer.alloc(0),
};
const build = (change: Record<string, Buffer> = {}): Buffer => Buffer.concat(Object.values({ ...fields, ...change }));

/** The order of the group, which a lax verifier lets one add to the second half of a signature. */
const order = 2n ** 252n + 27742317777372353535851937790883648493n;
function withOrderAdded(bytes: Uint8Array): Buffer {
  const second = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString('hex')}`) + order;
  return Buffer.concat([bytes.subarray(0, 32), Buffer.from(second.toString(16).padStart(64, '0'), 'hex').reverse()]);
}

describe('an SSH signature', () => {
  test('is read as it was made, and holds', () => {
    expect(Buffer.from(encodeSshSignature({ key, hash: 'sha512', signature }))).toEqual(build());
    expect(decodeSshSignature(build())).toEqual({ key: new Uint8Array(key), hash: 'sha512', signature: new Uint8Array(signature) });
    expect(checkWithKey(person, build(), message)).toBe('holds');
  });

  test('over the SHA-256 of the message holds as well', () => {
    const other = sign(null, bytesForSsh(message, 'sha256'), privateKey);
    expect(checkWithKey(person, encodeSshSignature({ key, hash: 'sha256', signature: other }), message)).toBe('holds');
    expect(checkWithKey(person, encodeSshSignature({ key, hash: 'sha256', signature }), message)).toBe('forged');
  });

  test.each<[string, Record<string, Buffer>, string]>([
    ['without its preamble', { preamble: Buffer.alloc(0) }, 'does not begin with SSHSIG'],
    ['with another preamble', { preamble: Buffer.from('SSHSIK') }, 'does not begin with SSHSIG'],
    ['of version 0', { version: number(0) }, 'has the version 0'],
    ['of version 2', { version: number(2) }, 'has the version 2'],
    ['by an RSA key', { key: part(typed(key, 'ssh-rsa')) }, 'not made with a key of type ssh-ed25519'],
    ['by a security key', { key: part(typed(key, 'sk-ssh-ed25519@openssh.com')) }, 'not made with a key of type ssh-ed25519'],
    ['by a certificate', { key: part(typed(key, 'ssh-ed25519-cert-v01@openssh.com')) }, 'not made with a key of type ssh-ed25519'],
    ['by a key of 31 bytes', { key: part(typed(key.subarray(1))) }, 'not made with a key'],
    ['by a key of 33 bytes', { key: part(typed(Buffer.concat([key, Buffer.of(0)]))) }, 'not made with a key'],
    ['by a key that goes on', { key: part(Buffer.concat([typed(key), Buffer.of(0)])) }, 'not made with a key'],
    ['by no key', { key: part('') }, 'not made with a key'],
    ['for git', { namespace: part('git') }, 'was made for the namespace "git"'],
    ['for a file', { namespace: part('file') }, 'was made for the namespace "file"'],
    ['for nothing', { namespace: part('') }, 'was made for the namespace ""'],
    ['for a namespace with a zero behind it', { namespace: part('holdpoint\0') }, 'was made for the namespace "holdpoint\\u0000"'],
    ['for a long namespace', { namespace: part(`holdpoint${'x'.repeat(500)}`) }, 'was made for the namespace "holdpointxxx'],
    ['with something in the reserved field', { reserved: part('x') }, 'reserved field'],
    ['over SHA-1', { hash: part('sha1') }, 'hashes with "sha1"'],
    ['over SHA-512 in capitals', { hash: part('SHA512') }, 'hashes with "SHA512"'],
    ['of RSA', { signature: part(typed(signature, 'rsa-sha2-512')) }, 'no Ed25519 signature'],
    ['of 63 bytes', { signature: part(typed(signature.subarray(1))) }, 'no Ed25519 signature'],
    ['of 65 bytes', { signature: part(typed(Buffer.concat([signature, Buffer.of(0)]))) }, 'no Ed25519 signature'],
    ['that goes on within', { signature: part(Buffer.concat([typed(signature), Buffer.of(0)])) }, 'no Ed25519 signature'],
    ['that goes on behind its end', { end: Buffer.of(0) }, 'goes on after its end'],
    ['with a length beyond its end', { signature: Buffer.concat([number(0xffffffff), typed(signature)]) }, 'no Ed25519 signature'],
  ])('%s is refused', (_what, change, why) => {
    expect(checkWithKey(person, build(change), message)).toEqual({ wrong: expect.stringContaining(why) });
  });

  test('that is cut off anywhere is refused, and never read beyond its end', () => {
    for (let length = 0; length < build().length; length += 1) {
      expect(decodeSshSignature(build().subarray(0, length))).toHaveProperty('wrong');
    }
  });

  test('holds with no single bit changed', () => {
    const whole = build();
    for (let place = 0; place < whole.length; place += 1) {
      const flipped = Buffer.from(whole);
      flipped[place] = (flipped[place] ?? 0) ^ (1 << (place % 8));
      expect(checkWithKey(person, flipped, message)).not.toBe('holds');
    }
  });

  test.each<[string, () => Uint8Array]>([
    ['with the order of the group added', () => build({ signature: part(typed(withOrderAdded(signature))) })],
    ['over the message itself', () => build({ signature: part(typed(sign(null, message, privateKey))) })],
    ['over another message', () => build({ signature: part(typed(sign(null, bytesForSsh(Buffer.from('other')), privateKey))) })],
    ['of another key', () => build({ key: part(typed(Buffer.alloc(32, 1))) })],
    ['by the point of small order', () => build({ key: part(typed(smallOrder)), signature: part(typed(Buffer.alloc(64))) })],
  ])('%s is forged', (_what, make) => {
    expect(checkWithKey(person, make(), message)).toBe('forged');
  });

  const smallOrder = Buffer.from(`01${'00'.repeat(31)}`, 'hex');

  test('by a key of small order, for which anything holds elsewhere, is forged even where that is the key of the person', () => {
    const bad = Buffer.concat([smallOrder, Buffer.alloc(32)]);
    const signed = build({ key: part(typed(smallOrder)), signature: part(typed(bad)) });
    expect(checkWithKey({ type: 'ssh', key: sshLineOf(smallOrder) }, signed, message)).toBe('forged');
  });
});

describe('the armor of a signature', () => {
  test('is that of ssh-keygen, and read back', () => {
    const text = armored(build());
    expect(text).toMatch(/^-----BEGIN SSH SIGNATURE-----\n(?:[A-Za-z0-9+/=]{1,70}\n)+-----END SSH SIGNATURE-----\n$/);
    expect(bytesOfArmor(text)).toEqual(new Uint8Array(build()));
  });

  test.each([
    ['', 'nothing'],
    ['-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n', 'no bytes'],
    [armored(build()).replace('SSH', 'PGP'), 'of something else'],
    [`${armored(build())}x`, 'with more behind it'],
    [armored(build()).replace('=', 'A'), 'with other bytes'],
  ])('%j is refused', (text) => {
    const bytes = bytesOfArmor(text);
    expect(bytes === undefined || 'wrong' in decodeSshSignature(bytes) || checkWithKey(person, bytes, message) !== 'holds').toBe(true);
  });
});

describe('the line of an SSH key', () => {
  test('is read with its comment, and written without', () => {
    expect(readSshLine(`${sshLineOf(key)} ann at home\n`)).toEqual({ key: new Uint8Array(key), comment: 'ann at home' });
    expect(readSshKey(sshKeyBlob(key))).toEqual(new Uint8Array(key));
  });

  test.each([
    '',
    'ssh-ed25519',
    'ssh-ed25519 ',
    `ssh-rsa ${Buffer.from(typed(key, 'ssh-rsa')).toString('base64')}`,
    `ssh-ed25519 ${Buffer.from(typed(key, 'ssh-rsa')).toString('base64')}`,
    `no-pty ${sshLineOf(key)}`,
    `cert-authority ${sshLineOf(key)}`,
    `${sshLineOf(key)}\n${sshLineOf(key)}`,
    `${sshLineOf(key)}A`,
    `${sshLineOf(key)}=`,
    sshLineOf(key).replace('ssh-ed25519 ', 'ssh-ed25519  '),
    sshLineOf(key.subarray(1)),
    sshLineOf(key).replace(/.$/, '-'),
    `ssh-ed25519 ${key.toString('base64url')}`,
  ])('that is %j is refused', (line) => expect(readSshLine(line)).toBeUndefined());
});

test('what OpenSSH has made holds', () => {
  const bytes = bytesOfArmor(ofOpenSsh.armor) ?? Buffer.alloc(0);
  expect(checkWithKey({ type: 'ssh', key: ofOpenSsh.line }, bytes, Buffer.from(ofOpenSsh.message))).toBe('holds');
});
