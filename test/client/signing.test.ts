import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeProtectedHeader } from 'jose';
import { reasonCharactersMax } from '../../domain/approval/refusal.ts';
import { verifyStatement } from '../../activities/people/verify.ts';
import { createKey, readKey } from '../../client/keys.ts';
import type { Signer } from '../../client/signing.ts';
import type { DecisionStatement } from '../../domain/approval/statement.ts';

const statement: DecisionStatement = {
  kind: 'decision',
  person: 'ann',
  run: 'r-20261121-7kq2m',
  hold: 'sign-drain',
  request: 1,
  planHash: `sha256:${'1'.repeat(64)}`,
  question: `sha256:${'5'.repeat(64)}`,
  decision: 'approve',
  reason: 'read it',
  at: '2026-11-21T10:00:00.000Z',
  nonce: 'n-1',
};

let directory: string;
let key: Signer;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-signing-'));
  await createKey('ann', directory);
  key = await readKey('ann', directory);
});

afterAll(() => rm(directory, { recursive: true, force: true }));

describe('signing', () => {
  test('with a key from disk makes a statement that the worker accepts', async () => {
    const jws = await key.sign(statement);
    expect(decodeProtectedHeader(jws)).toEqual({ alg: 'EdDSA', typ: 'holdpoint+jws', kid: 'ann' });
    const { at, nonce: _nonce, ...expected } = statement;
    expect(verifyStatement(jws, expected, { key: key.publicKey }, new Date(at))).toEqual({ ok: true, statement, key: key.publicKey });
  });

  test('in the name of somebody else is refused', async () => {
    const bobs = { ...statement, person: 'bob' };
    await expect(key.sign(bobs)).rejects.toThrow('The statement is from bob, but the key belongs to ann.');
  });

  test('takes a reason of the full length in any script, and refuses more than a verifier reads', async () => {
    const longest = await key.sign({ ...statement, reason: '理'.repeat(reasonCharactersMax) });
    const { at, nonce: _nonce, ...expected } = { ...statement, reason: '理'.repeat(reasonCharactersMax) };
    expect(verifyStatement(longest, expected, { key: key.publicKey }, new Date(at)).ok).toBe(true);
    await expect(key.sign({ ...statement, reason: 'x'.repeat(10_000) })).rejects.toThrow('at most 12288 are accepted');
  });
});
