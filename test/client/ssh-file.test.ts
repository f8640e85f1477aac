import { appendFile, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { verifyStatement } from '../../activities/people/verify.ts';
import { KeyError } from '../../client/signing.ts';
import { readSshPublicKey, sshFileSigner } from '../../client/ssh-file.ts';
import { bytesOfBase64url } from '../../domain/base64.ts';
import { armored } from '../../domain/approval/sshsig.ts';
import { expectedOf } from '../../domain/approval/statement.ts';
import { hasOpenSsh, makeSshKey, openSsh } from '../support/openssh.ts';
import { statements } from '../support/statements.ts';

const statement = statements.decision;
const now = new Date(statement.at);

(hasOpenSsh('signing with the file of an SSH key') ? describe : describe.skip)('the file of an SSH key', () => {
  let home: string;
  let file: string;
  let line: string;
  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'holdpoint-ssh-file-'));
    file = makeSshKey(home);
    line = (await readFile(`${file}.pub`, 'utf8')).trim();
  });
  afterAll(() => rm(home, { recursive: true, force: true }));

  async function errorOf(work: Promise<unknown>): Promise<KeyError> {
    const error = await work.then(
      () => new Error('expected a KeyError'),
      (reason: unknown) => reason,
    );
    if (!(error instanceof KeyError)) throw error;
    return error;
  }

  test('signs what a worker accepts, and what ssh-keygen verifies by itself', async () => {
    const people = { ann: { keys: [{ type: 'ssh' as const, key: line }] } };
    const signer = await sshFileSigner(file, undefined, people);
    expect(signer).toMatchObject({ person: 'ann', publicKey: line.split(' ').slice(0, 2).join(' ') });
    const jws = await signer.sign(statement);
    expect(verifyStatement(jws, expectedOf(statement), people.ann, now)).toMatchObject({ ok: true, statement });
    const [head, payload, signature = ''] = jws.split('.');
    const signed = path.join(home, 'signed.sig');
    await writeFile(signed, armored(bytesOfBase64url(signature) ?? new Uint8Array()));
    await writeFile(path.join(home, 'allowed'), `ann ${line}\n`);
    const args = ['-Y', 'verify', '-f', path.join(home, 'allowed'), '-I', 'ann', '-n', 'holdpoint', '-s', signed];
    expect(openSsh('ssh-keygen', args, { input: `${head}.${payload}` })).toContain('Good "holdpoint" signature for ann');
    expect(() => openSsh('ssh-keygen', args, { input: `${head}.${payload}x` })).toThrow('ssh-keygen');
  });

  test('signs as the only key there is, where no configuration says whose it is', async () => {
    const signer = await sshFileSigner(file, 'ann', undefined);
    const result = verifyStatement(await signer.sign(statement), expectedOf(statement), { keys: [{ type: 'ssh', key: line }] }, now);
    expect(result.ok).toBe(true);
  });

  test('made by hand for another namespace, or over other bytes, is refused', async () => {
    const [head = '', payload = ''] = (await (await sshFileSigner(file, 'ann', undefined)).sign(statement)).split('.');
    const byHand = (namespace: string, message: string): string => {
      const armor = openSsh('ssh-keygen', ['-Y', 'sign', '-n', namespace, '-f', file], { input: message });
      const body = armor.split('\n').slice(1, -2).join('');
      return `${head}.${payload}.${Buffer.from(body, 'base64').toString('base64url')}`;
    };
    const keys = { keys: [{ type: 'ssh' as const, key: line }] };
    const check = (jws: string): unknown => verifyStatement(jws, expectedOf(statement), keys, now);
    expect(check(byHand('holdpoint', `${head}.${payload}`))).toMatchObject({ ok: true });
    expect(check(byHand('git', `${head}.${payload}`))).toMatchObject({
      code: 'statement-malformed',
      reason: expect.stringContaining('its SSH signature was made for the namespace "git", not "holdpoint"'),
    });
    expect(check(byHand('holdpoint', `${head}.${payload}\n`))).toMatchObject({ code: 'signature-forged' });
  });

  test('that is not there, is of another type or was replaced is told', async () => {
    expect((await errorOf(sshFileSigner(path.join(home, 'none'), 'ann', undefined))).message).toContain('none.pub cannot be read (ENOENT)');
    openSsh('ssh-keygen', ['-q', '-t', 'ecdsa', '-N', '', '-f', path.join(home, 'ecdsa')]);
    expect((await errorOf(sshFileSigner(path.join(home, 'ecdsa'), 'ann', undefined))).message).toContain('key of type ssh-ed25519');
    const other = makeSshKey(home, 'other');
    await copyFile(`${file}.pub`, `${other}.pub`);
    const signer = await sshFileSigner(other, 'ann', undefined);
    expect((await errorOf(signer.sign(statement))).message).toMatch(/made a signature that does not fit the key|has not signed with/);
    await appendFile(`${other}.pub`, line);
    await expect(readSshPublicKey(other)).rejects.toThrow('is not one line with a key');
  });

  test('with a private half that cannot be read is told, with the command that says why', async () => {
    await copyFile(`${file}.pub`, path.join(home, 'empty.pub'));
    await writeFile(path.join(home, 'empty'), 'oops', { mode: 0o600 });
    const error = await errorOf((await sshFileSigner(path.join(home, 'empty'), 'ann', undefined)).sign(statement));
    expect(error.message).toContain('ssh-keygen has not signed with');
    expect(error.remedy).toContain('ssh-keygen -Y sign -n holdpoint -f');
  });

  test.each([
    ['revoked', { revoked: '2020-01-01T00:00:00Z' }, 'is revoked since 2020-01-01T00:00:00Z, as holdpoint.yaml says.'],
    ['over', { until: '2020-01-01T00:00:00Z' }, 'counted until 2020-01-01T00:00:00Z, as holdpoint.yaml says.'],
    ['early', { from: '2999-01-01T00:00:00Z' }, 'counts from 2999-01-01T00:00:00Z on, as holdpoint.yaml says.'],
  ])('that is %s is not used', async (_what, times, sentence) => {
    const people = { ann: { keys: [{ type: 'ssh' as const, key: line, ...times }] } };
    expect((await errorOf(sshFileSigner(file, undefined, people))).message).toContain(sentence);
  });

  test('that holdpoint.yaml has as a key of type ed25519 is told, as ssh-keygen makes SSH signatures only', async () => {
    const { key } = await readSshPublicKey(file);
    const people = { ann: { key: Buffer.from(key).toString('base64url') } };
    const { message, remedy } = await errorOf(sshFileSigner(file, undefined, people));
    expect(message).toContain('with the type ed25519');
    expect(remedy).toBe('Sign with --signer ssh-agent, or have it added with the type ssh.');
  });
});
