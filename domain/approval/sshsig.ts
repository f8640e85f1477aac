import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { base64Of, bytesOfBase64 } from '../base64.ts';

/**
 * Signatures of SSH keys over files, as OpenSSH makes them (PROTOCOL.sshsig): `ssh-keygen -Y sign -n holdpoint`. Only what Holdpoint takes
 * can be read, and it is read in its one spelling, so that nobody can make a second signature out of one that they have seen.
 */

/** What an SSH signature was made for. One that was made for git or for files of others is not taken. */
export const sshNamespace = 'holdpoint';

/** The only type of key that is taken: Ed25519, no certificate and no security key. */
export const sshKeyType = 'ssh-ed25519';

const preamble = utf8ToBytes('SSHSIG');
const version = 1;
const keyBytes = 32;
const signatureBytes = 64;
const nothing = new Uint8Array();
const hashes = { sha256, sha512 } as const;

/** The hash of the message, of those that OpenSSH knows. */
export type SshHash = keyof typeof hashes;

/** `ssh-keygen` makes this where nothing else is said. */
export const sshHashDefault: SshHash = 'sha512';

const commentCharactersMax = 200;
const linePattern = new RegExp(`^${sshKeyType} ([A-Za-z0-9+/]+=*)(?: ([^\\r\\n]*))?$`);
const armorPattern = /^-----BEGIN SSH SIGNATURE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END SSH SIGNATURE-----\r?\n?$/;
const armorColumns = 70;

/** An SSH signature, taken apart. */
export interface SshSignature {
  /** The 32 bytes of the Ed25519 key that it says it was made with. */
  key: Uint8Array;
  hash: SshHash;
  /** The 64 bytes of the Ed25519 signature over `bytesForSsh`. */
  signature: Uint8Array;
}

/** A public key as a line of `authorized_keys` or a `.pub` file: `ssh-ed25519 AAAA… comment`. Undefined for any other line. */
export function readSshLine(line: string): { key: Uint8Array; comment: string } | undefined {
  const [, blob = '', comment = ''] = linePattern.exec(line.trim()) ?? [];
  const key = readSshKey(bytesOfBase64(blob) ?? new Uint8Array());
  return key && { key, comment: comment.slice(0, commentCharactersMax) };
}

/** The line of a public key, without a comment. */
export function sshLineOf(key: Uint8Array): string {
  return `${sshKeyType} ${base64Of(sshKeyBlob(key))}`;
}

/** A public key as it stands in signatures, in lines and in the messages of agents. */
export function sshKeyBlob(key: Uint8Array): Uint8Array {
  return concatBytes(lengthThen(utf8ToBytes(sshKeyType)), lengthThen(key));
}

/** What the key signs for a message: not the message itself, but its hash with the namespace. */
export function bytesForSsh(message: Uint8Array, hash: SshHash = sshHashDefault): Uint8Array {
  return concatBytes(preamble, ...[utf8ToBytes(sshNamespace), nothing, utf8ToBytes(hash), hashes[hash](message)].map(lengthThen));
}

/** A signature as bytes, which the armor of a `.sig` file is around. */
export function encodeSshSignature({ key, hash, signature }: SshSignature): Uint8Array {
  const signed = concatBytes(lengthThen(utf8ToBytes(sshKeyType)), lengthThen(signature));
  const parts = [sshKeyBlob(key), utf8ToBytes(sshNamespace), nothing, utf8ToBytes(hash), signed];
  return concatBytes(preamble, numberOf(version), ...parts.map(lengthThen));
}

/** Reads a signature; gives what is wrong with it, to go behind "its SSH signature", where it is not one that is taken. */
export function decodeSshSignature(bytes: Uint8Array): SshSignature | { wrong: string } {
  const reader = new SshReader(bytes);
  if (!equal(reader.take(preamble.length), preamble)) return { wrong: 'is none: it does not begin with SSHSIG' };
  const found = reader.number();
  if (found !== version) return { wrong: `has the version ${found ?? 'none'}, and ${version} is the only one` };
  const key = readSshKey(reader.part() ?? nothing);
  if (!key) return { wrong: `was not made with a key of type ${sshKeyType}` };
  const namespace = textOf(reader.part());
  if (namespace !== sshNamespace) return { wrong: `was made for the namespace ${JSON.stringify(namespace)}, not "${sshNamespace}"` };
  if (reader.part()?.length !== 0) return { wrong: 'has something in its reserved field' };
  const hash = textOf(reader.part());
  if (hash !== 'sha256' && hash !== 'sha512') return { wrong: `hashes with ${JSON.stringify(hash)}, and only sha256 and sha512 are taken` };
  const signature = readSshPart(reader.part() ?? nothing, signatureBytes);
  if (!signature) return { wrong: `holds no Ed25519 signature of ${signatureBytes} bytes` };
  if (!reader.atEnd()) return { wrong: 'goes on after its end' };
  return { key, hash, signature };
}

/** A signature as `ssh-keygen` writes it into a `.sig` file. */
export function armored(signature: Uint8Array): string {
  const lines = base64Of(signature).match(new RegExp(`.{1,${armorColumns}}`, 'g')) ?? [];
  return ['-----BEGIN SSH SIGNATURE-----', ...lines, '-----END SSH SIGNATURE-----', ''].join('\n');
}

/** The bytes of what `armored` has written; undefined for anything else. */
export function bytesOfArmor(text: string): Uint8Array | undefined {
  const [, body] = armorPattern.exec(text) ?? [];
  return body === undefined ? undefined : bytesOfBase64(body.replaceAll(/[\r\n]/g, ''));
}

/** The 32 bytes of an Ed25519 key in its blob; undefined for other blobs. */
export function readSshKey(blob: Uint8Array): Uint8Array | undefined {
  return readSshPart(blob, keyBytes);
}

/** What follows the name of the key type, where it has that length and nothing follows. */
function readSshPart(bytes: Uint8Array, length: number): Uint8Array | undefined {
  const reader = new SshReader(bytes);
  if (textOf(reader.part()) !== sshKeyType) return undefined;
  const part = reader.part();
  return part?.length === length && reader.atEnd() ? part : undefined;
}

/** Reads the parts of a message one after another; each gives undefined where the bytes end before it does. */
class SshReader {
  private readonly bytes: Uint8Array;
  private place = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  take(length: number): Uint8Array | undefined {
    const end = this.place + length;
    if (end > this.bytes.length) return undefined;
    const taken = this.bytes.subarray(this.place, end);
    this.place = end;
    return taken;
  }

  number(): number | undefined {
    const bytes = this.take(4);
    return bytes && bytes.reduce((value, byte) => value * 256 + byte, 0);
  }

  /** Bytes that have their number before them. */
  part(): Uint8Array | undefined {
    const length = this.number();
    return length === undefined ? undefined : this.take(length);
  }

  atEnd(): boolean {
    return this.place === this.bytes.length;
  }
}

function numberOf(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

function lengthThen(bytes: Uint8Array): Uint8Array {
  return concatBytes(numberOf(bytes.length), bytes);
}

/** ASCII as text; anything else as what it is not, for messages. */
function textOf(bytes: Uint8Array | undefined): string {
  return String.fromCharCode(...(bytes ?? nothing).subarray(0, 100));
}

function equal(one: Uint8Array | undefined, other: Uint8Array): boolean {
  return one?.length === other.length && one.every((byte, index) => byte === other[index]);
}
