import { connect } from 'node:net';
import { bytesOfKey, type PeopleKeys } from '../domain/approval/keys.ts';
import { bytesForSsh, encodeSshSignature, sshHashDefault, sshKeyBlob, sshKeyType } from '../domain/approval/sshsig.ts';
import { KeyError, signerWith, type Signer } from './signing.ts';
import { chooseKey } from './ssh-choice.ts';

/** An Ed25519 key that an SSH agent signs with. */
export interface AgentKey {
  /** The 32 bytes of the key, base64url, as a key of type ed25519 is in holdpoint.yaml. */
  publicKey: string;
  /** What its owner has called it. */
  comment: string;
}

/** The numbers of the messages of the agent protocol (draft-ietf-sshm-ssh-agent, section 6.1). */
const messages = { requestIdentities: 11, identitiesAnswer: 12, signRequest: 13, signResponse: 14 };

const keyBytes = 32;

/** An agent answers at once, unless somebody has to confirm a signature or touch a device. */
const listTimeoutMs = 5_000;
const signTimeoutMs = 60_000;

/** OpenSSH takes no longer messages either. */
const answerBytesMax = 256 * 1024;

const commentCharactersMax = 100;

/**
 * The Ed25519 keys of an SSH agent, in its order; a locked agent shows none. Certificates and keys of other types are left out.
 *
 * @param socket the path in SSH_AUTH_SOCK.
 * @throws KeyError where there is no agent, or it does not answer as agents do. What it has answered is never quoted.
 */
export async function agentKeys(socket: string | undefined): Promise<AgentKey[]> {
  const answer = await ask(socket, Buffer.of(messages.requestIdentities), messages.identitiesAnswer, listTimeoutMs);
  if (answer === undefined) throw new KeyError('The SSH agent does not say which keys it has.', 'See whether `ssh-add -L` lists them.');
  const keys: AgentKey[] = [];
  const count = answer.number();
  for (let index = 0; index < count; index += 1) {
    const blob = new Reader(answer.text());
    const comment = answer.text().toString('utf8').replaceAll(/\p{C}/gu, '?').slice(0, commentCharactersMax);
    if (blob.text().toString('latin1') !== sshKeyType) continue;
    const key = blob.text();
    if (key.length !== keyBytes) throw garbled();
    keys.push({ publicKey: key.toString('base64url'), comment });
  }
  return keys;
}

/**
 * The signer of a person whose key is in an SSH agent. Which key that is, `people` say; without them it is the only one there is.
 *
 * @param socket the path in SSH_AUTH_SOCK.
 * @param person who signs; where it is left out, the one whom `people` name for a key of the agent.
 * @param people of the configuration, with their public keys.
 * @throws KeyError where there is no agent or no such key; HoldpointError `person-unnamed` where it could be several people.
 */
export async function agentSigner(socket: string | undefined, person: string | undefined, people: PeopleKeys | undefined): Promise<Signer> {
  const keys = (await agentKeys(socket)).map(({ publicKey }) => publicKey);
  if (keys.length === 0) {
    throw new KeyError(
      'The SSH agent offers no Ed25519 key: it has none, or it is locked.',
      'Add one with `ssh-add ~/.ssh/id_ed25519` (`ssh-keygen -t ed25519` makes one), or unlock the agent with `ssh-add -X`.',
    );
  }
  const source = { name: 'the SSH agent', keys: keys.map((key) => Buffer.from(key, 'base64url')), types: ['ed25519', 'ssh'] as const };
  const { person: signer, key } = chooseKey(source, person, people);
  const bytesOf = bytesOfKey(key) ?? new Uint8Array();
  return signerWith(signer, key, async (bytes) => {
    if (key.type === 'ed25519') return signByAgent(socket, bytesOf, signer, bytes);
    const signature = await signByAgent(socket, bytesOf, signer, bytesForSsh(bytes));
    return encodeSshSignature({ key: bytesOf, hash: sshHashDefault, signature });
  });
}

async function signByAgent(socket: string | undefined, key: Uint8Array, person: string, bytes: Uint8Array): Promise<Uint8Array> {
  const noFlags = Buffer.alloc(4);
  const request = Buffer.concat([Buffer.of(messages.signRequest), lengthThen(sshKeyBlob(key)), lengthThen(bytes), noFlags]);
  const answer = await ask(socket, request, messages.signResponse, signTimeoutMs);
  if (answer === undefined) {
    throw new KeyError(
      `The SSH agent refuses to sign for ${person}: it is locked, the key was removed, or nobody has confirmed the signature.`,
      'See with `ssh-add -l` whether the key is there; `ssh-add -X` unlocks the agent.',
    );
  }
  const signature = new Reader(answer.text());
  if (signature.text().toString('latin1') !== sshKeyType) throw garbled();
  return signature.text();
}

/** Sends one message; gives what follows the type of the answer, or undefined where the agent answers with another type (failure). */
function ask(socket: string | undefined, message: Uint8Array, wanted: number, timeoutMs: number): Promise<Reader | undefined> {
  if (socket === undefined || socket === '') {
    const remedy = 'Start an agent and add your key with `ssh-add`, or sign with a key file (`--signer file`).';
    throw new KeyError('There is no SSH agent here: SSH_AUTH_SOCK is not set.', remedy);
  }
  return new Promise((resolve, reject) => {
    const connection = connect(socket);
    const fail = (error: KeyError): void => {
      connection.destroy();
      reject(error);
    };
    let received = Buffer.alloc(0);
    const timer = setTimeout(() => fail(unreachable(socket, `has not answered within ${timeoutMs / 1_000} s`)), timeoutMs);
    connection.on('error', (error: NodeJS.ErrnoException) => fail(unreachable(socket, `cannot be reached (${error.code ?? 'no code'})`)));
    connection.on('close', () => {
      clearTimeout(timer);
      fail(unreachable(socket, 'has closed the connection without an answer'));
    });
    connection.on('connect', () => connection.write(lengthThen(message)));
    connection.on('data', (data) => {
      received = Buffer.concat([received, data]);
      if (received.length < 4) return;
      const length = received.readUInt32BE();
      if (length === 0 || length > answerBytesMax) return fail(garbled());
      if (received.length < 4 + length) return;
      connection.destroy();
      resolve(received[4] === wanted ? new Reader(received.subarray(5, 4 + length)) : undefined);
    });
  });
}

/** Reads the parts of a message one after another. */
class Reader {
  private readonly bytes: Buffer;
  private place = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  number(): number {
    return this.take(4).readUInt32BE();
  }

  /** Bytes that have their number before them. */
  text(): Buffer {
    return this.take(this.number());
  }

  private take(count: number): Buffer {
    const end = this.place + count;
    if (end > this.bytes.length) throw garbled();
    const taken = this.bytes.subarray(this.place, end);
    this.place = end;
    return taken;
  }
}

function lengthThen(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function unreachable(socket: string, what: string): KeyError {
  return new KeyError(
    `The SSH agent at ${socket} ${what}.`,
    'Start an agent, add your key with `ssh-add`, and have SSH_AUTH_SOCK name it.',
  );
}

function garbled(): KeyError {
  return new KeyError('The SSH agent does not answer as agents do.', 'See whether SSH_AUTH_SOCK names the socket of an SSH agent.');
}
