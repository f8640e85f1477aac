import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { verifyStatement } from '../../activities/people/verify.ts';
import { KeyError } from '../../client/signing.ts';
import { agentKeys, agentSigner } from '../../client/ssh-agent.ts';
import { expectedOf } from '../../domain/approval/statement.ts';
import { hasOpenSsh, openSsh } from '../support/openssh.ts';
import { statements } from '../support/statements.ts';

const statement = statements.decision;
/** What an answer of an agent holds that must be in no message. */
const secret = 'what the agent has answered';

let directory: string;
let socket: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-agent-'));
  socket = path.join(directory, 'agent.sock');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function errorOf(work: Promise<unknown>): Promise<KeyError> {
  const error = await work.then(
    (value) => new Error(`expected a KeyError, got ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof KeyError)) throw error;
  expect(error.remedy).toMatch(/\S.*\.$/);
  expect(`${error.stack} ${error.remedy} ${String(error.cause)}`).not.toContain(secret);
  return error;
}

interface Pair {
  privateKey: KeyObject;
  key: Buffer;
  publicKey: string;
}

function newPair(): Pair {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const x = publicKey.export({ format: 'jwk' }).x ?? '';
  return { privateKey, key: Buffer.from(x, 'base64url'), publicKey: x };
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

const text = (value: string | Uint8Array): Buffer => Buffer.concat([number(Buffer.from(value).length), Buffer.from(value)]);
const blobOf = (key: Uint8Array, type = 'ssh-ed25519'): Buffer => Buffer.concat([text(type), text(key)]);
const failure = Buffer.of(5);

/** A list of keys with their comments, as an agent answers it. */
function identities(...keys: [blob: Uint8Array, comment: string][]): Buffer {
  return Buffer.concat([Buffer.of(12), number(keys.length), ...keys.flatMap(([blob, comment]) => [text(blob), text(comment)])]);
}

const signature = (bytes: Uint8Array, type = 'ssh-ed25519'): Buffer =>
  Buffer.concat([Buffer.of(14), text(Buffer.concat([text(type), text(bytes)]))]);

/** As a slow agent would: each piece is read before the next one is written. */
async function writeInPieces(connection: Socket, bytes: Buffer): Promise<void> {
  for (const [start, end] of [
    [0, 3],
    [3, 7],
    [7, bytes.length],
  ]) {
    connection.write(bytes.subarray(start, end));
    for (let turn = 0; turn < 3; turn += 1) await nextTurn();
  }
}

describe('a pretended agent', () => {
  const ada = newPair();
  let server: Server | undefined;
  afterEach(async () => {
    server?.close();
    if (server) await once(server, 'close');
    server = undefined;
  });

  /** Gives each request its answer: the bytes with their length before them, `raw` as they are, undefined closes the connection. */
  async function listen(answer: (type: number, body: Buffer) => Buffer | { raw: Buffer } | undefined): Promise<void> {
    server = createServer((connection) => {
      let received = Buffer.alloc(0);
      connection.on('error', () => undefined);
      connection.on('data', (data) => {
        received = Buffer.concat([received, data]);
        if (received.length < 4 || received.length < 4 + received.readUInt32BE()) return;
        const answered = answer(received[4] ?? 0, received.subarray(5));
        if (answered === undefined) connection.destroy();
        else void writeInPieces(connection, 'raw' in answered ? answered.raw : text(answered));
      });
    });
    server.listen(socket);
    await once(server, 'listening');
  }

  test('lists its Ed25519 keys only, with comments that are safe to print', async () => {
    await listen(() =>
      identities(
        [blobOf(Buffer.alloc(129), 'ssh-rsa'), 'old'],
        [blobOf(ada.key), 'ada\u001b[31m@laptop\n'],
        [blobOf(ada.key, 'sk-ssh-ed25519@openssh.com'), 'token'],
        [blobOf(ada.key, 'ssh-ed25519-cert-v01@openssh.com'), 'certificate'],
      ),
    );
    expect(await agentKeys(socket)).toEqual([{ publicKey: ada.publicKey, comment: 'ada?[31m@laptop?' }]);
  });

  test('is asked to sign exactly what a verifier reads', async () => {
    await listen((type, body) => {
      if (type === 11) return identities([blobOf(ada.key), '']);
      const blobLength = body.readUInt32BE();
      const start = 4 + blobLength + 4;
      const data = body.subarray(start, start + body.readUInt32BE(4 + blobLength));
      expect(body.subarray(4, 4 + blobLength)).toEqual(blobOf(ada.key));
      expect(body.subarray(start + data.length)).toEqual(number(0));
      return signature(sign(null, data, ada.privateKey));
    });
    const signer = await agentSigner(socket, 'ann', undefined);
    const jws = await signer.sign(statement);
    expect(verifyStatement(jws, expectedOf(statement), { key: ada.publicKey }, new Date(statement.at))).toMatchObject({ ok: true });
  });

  test.each<[string, Buffer, string]>([
    [
      'refuses',
      failure,
      'The SSH agent refuses to sign for ann: it is locked, the key was removed, or nobody has confirmed the signature.',
    ],
    ['signs with another type of key', signature(Buffer.alloc(64), secret), 'The SSH agent does not answer as agents do.'],
    ['makes a signature of zeros', signature(Buffer.alloc(64)), 'has made a signature that does not fit the key'],
    ['makes one that is too short', signature(Buffer.from(secret)), 'has made a signature that does not fit the key'],
    ['makes none', signature(Buffer.alloc(0)), 'has made a signature that does not fit the key'],
    ['signs with another key', signature(sign(null, Buffer.from('x'), newPair().privateKey)), 'has made a signature that does not fit'],
    ['says that more follows than does', Buffer.concat([Buffer.of(14), number(99), Buffer.from(secret)]), 'does not answer as agents do'],
  ])('that %s is told from one that signs', async (_what, answer, sentence) => {
    await listen((type) => (type === 11 ? identities([blobOf(ada.key), '']) : answer));
    const signer = await agentSigner(socket, 'ann', undefined);
    expect((await errorOf(signer.sign(statement))).message).toContain(sentence);
  });

  test.each<[string, Buffer | { raw: Buffer } | undefined, string]>([
    ['refuses to list its keys', failure, 'The SSH agent does not say which keys it has.'],
    ['closes the connection', undefined, 'has closed the connection without an answer'],
    ['counts more keys than it lists', Buffer.concat([Buffer.of(12), number(0xffffffff), text(secret)]), 'does not answer as agents do'],
    ['lists a key of another length', identities([blobOf(Buffer.from(secret)), '']), 'does not answer as agents do'],
    ['is no agent', { raw: Buffer.from(`HTTP/1.1 400 ${secret}`) }, 'does not answer as agents do'],
    ['sends an empty answer', { raw: number(0) }, 'does not answer as agents do'],
    ['sends more than any agent', { raw: number(256 * 1024 + 1) }, 'does not answer as agents do'],
    ['has no key', identities(), 'The SSH agent offers no Ed25519 key: it has none, or it is locked.'],
  ])('that %s cannot be used', async (_what, answer, sentence) => {
    await listen(() => answer);
    expect((await errorOf(agentSigner(socket, 'ann', undefined))).message).toContain(sentence);
  });

  test('that does not answer is waited for no longer than 5 s', async () => {
    let whenAsked = (): void => undefined;
    const asked = new Promise<void>((resolve) => (whenAsked = resolve));
    await listen(() => {
      whenAsked();
      return { raw: Buffer.alloc(0) };
    });
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
    try {
      const error = errorOf(agentKeys(socket));
      await asked;
      jest.advanceTimersByTime(5_000);
      expect((await error).message).toBe(`The SSH agent at ${socket} has not answered within 5 s.`);
    } finally {
      jest.useRealTimers();
    }
  });

  describe('and whose key it has', () => {
    const bob = newPair();
    const key = ({ publicKey }: Pair): { key: string } => ({ key: publicKey });
    beforeEach(() => listen(() => identities([blobOf(ada.key), ''], [blobOf(bob.key), ''])));

    test.each<[string, string | undefined, Record<string, { key: string }> | undefined, string, string]>([
      ['the person says, by the configuration', 'bob', { ada: key(ada), bob: key(bob) }, 'bob', bob.publicKey],
      ['the configuration says', undefined, { ada: key(ada), eve: key(newPair()) }, 'ada', ada.publicKey],
    ])('%s', async (_what, person, people, signer, publicKey) => {
      expect(await agentSigner(socket, person, people)).toMatchObject({ person: signer, publicKey });
    });

    test.each<[string, string | undefined, Record<string, { key: string }> | undefined, string]>([
      [
        'with the key of somebody who has another one',
        'eve',
        { eve: key(newPair()) },
        'does not have the key that holdpoint.yaml names for eve',
      ],
      ['without a configuration', 'ada', undefined, 'The SSH agent has 2 Ed25519 keys, and nothing says which one is that of ada.'],
      ['in the name of somebody unknown', 'constructor', { ada: key(ada) }, 'nothing says which one is that of constructor'],
      ['in the name of nobody', undefined, undefined, 'No key of the SSH agent is known to belong to anybody.'],
      ['in a name that is none', '../ada', undefined, '"../ada" cannot be the id of a person.'],
    ])('is not guessed %s', async (_what, person, people, sentence) => {
      expect((await errorOf(agentSigner(socket, person, people))).message).toContain(sentence);
    });

    test('is asked for where it could be several people', async () => {
      await expect(agentSigner(socket, undefined, { ada: key(ada), bob: key(bob) })).rejects.toMatchObject({
        code: 'person-unnamed',
        message: 'It is not clear who you are: the SSH agent has keys of ada, bob.',
      });
    });
  });
});

describe('no agent', () => {
  test.each([undefined, ''])('is told where SSH_AUTH_SOCK is %j', async (none) => {
    expect(await errorOf(agentKeys(none))).toMatchObject({
      message: 'There is no SSH agent here: SSH_AUTH_SOCK is not set.',
      remedy: expect.stringContaining('--signer file'),
    });
  });

  test('is told where nothing is at the socket, nobody listens, or the path is too long', async () => {
    expect((await errorOf(agentKeys(socket))).message).toBe(`The SSH agent at ${socket} cannot be reached (ENOENT).`);
    await writeFile(socket, '');
    expect((await errorOf(agentKeys(socket))).message).toBe(`The SSH agent at ${socket} cannot be reached (ECONNREFUSED).`);
    expect((await errorOf(agentKeys(`/${'x'.repeat(300)}`))).message).toContain('cannot be reached');
  });
});

(hasOpenSsh('signing with a real SSH agent') ? describe : describe.skip)('the agent of OpenSSH', () => {
  let home: string;
  let agent: ChildProcess;
  let env: NodeJS.ProcessEnv;
  let publicKey: string;

  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'holdpoint-openssh-'));
    const own = path.join(home, 'agent.sock');
    const askpass = path.join(home, 'askpass');
    await writeFile(askpass, '#!/bin/sh\necho secret\n', { mode: 0o700 });
    env = { ...process.env, SSH_AUTH_SOCK: own, SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force' };
    agent = spawn('ssh-agent', ['-D', '-a', own], { stdio: ['ignore', 'pipe', 'ignore'] });
    await once(agent.stdout!, 'data');
    run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'ann@laptop', '-f', path.join(home, 'id'));
    run('ssh-keygen', '-q', '-t', 'ecdsa', '-N', '', '-f', path.join(home, 'other'));
    run('ssh-add', '-q', path.join(home, 'other'));
    run('ssh-add', '-q', path.join(home, 'id'));
    publicKey = (await agentKeys(own))[0]?.publicKey ?? '';
  });

  afterAll(async () => {
    agent.kill();
    if (agent.exitCode === null && agent.signalCode === null) await once(agent, 'exit');
    await rm(home, { recursive: true, force: true });
  });

  function run(command: string, ...args: string[]): void {
    openSsh(command, args, { env });
  }

  test('lists the key and signs what a worker accepts', async () => {
    expect(await agentKeys(env.SSH_AUTH_SOCK)).toEqual([{ publicKey: expect.stringMatching(/^[\w-]{43}$/), comment: 'ann@laptop' }]);
    const signer = await agentSigner(env.SSH_AUTH_SOCK, undefined, { ann: { key: publicKey } });
    expect(signer.person).toBe('ann');
    const result = verifyStatement(await signer.sign(statement), expectedOf(statement), { key: publicKey }, new Date(statement.at));
    expect(result).toEqual({ ok: true, statement, key: publicKey });
  });

  test('makes SSH signatures where the key is of type ssh, which a worker accepts', async () => {
    const [, line = ''] = /^(ssh-ed25519 .*)$/m.exec(openSsh('ssh-add', ['-L'], { env })) ?? [];
    const people = { ann: { keys: [{ type: 'ssh' as const, key: line }] } };
    const signer = await agentSigner(env.SSH_AUTH_SOCK, undefined, people);
    const result = verifyStatement(await signer.sign(statement), expectedOf(statement), people.ann, new Date(statement.at));
    expect(result).toMatchObject({ ok: true, statement, key: signer.publicKey });
    expect(signer.publicKey).toMatch(/^ssh-ed25519 [A-Za-z0-9+/=]+$/);
  });

  test('that is locked offers nothing and signs nothing, and works again when it is unlocked', async () => {
    const signer = await agentSigner(env.SSH_AUTH_SOCK, 'ann', undefined);
    run('ssh-add', '-x');
    expect((await errorOf(agentSigner(env.SSH_AUTH_SOCK, 'ann', undefined))).message).toContain('or it is locked');
    expect((await errorOf(signer.sign(statement))).message).toContain('refuses to sign for ann: it is locked');
    run('ssh-add', '-X');
    await expect(signer.sign(statement)).resolves.toContain('.');
  });

  test('that is gone by the time of the signature is told', async () => {
    const signer = await agentSigner(env.SSH_AUTH_SOCK, 'ann', undefined);
    agent.kill();
    await once(agent, 'exit');
    expect((await errorOf(signer.sign(statement))).message).toMatch(/^The SSH agent at .* cannot be reached \(E\w+\)\.$/);
  });
});
