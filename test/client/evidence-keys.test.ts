import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exportSignatures } from '../../client/evidence-export.ts';
import { readEvidence, verifyEvidence, type EvidenceReport } from '../../client/evidence.ts';
import { textOfKey, type PersonKey } from '../../domain/approval/keys.ts';
import { approvalId } from '../../domain/approval/request.ts';
import type { Statement } from '../../domain/approval/statement.ts';
import { bytesOfEntry, chain, lineOf, signedKinds, type EvidenceEntry } from '../../domain/evidence/evidence.ts';
import { KeyCheck } from '../../domain/evidence/keys.ts';
import type { JsonObject } from '../../domain/json.ts';
import { hasOpenSsh, openSsh } from '../support/openssh.ts';
import { writtenOfRun } from '../support/signed-record.ts';
import { statements } from '../support/statements.ts';
import { newWorkerKey } from '../support/worker-key.ts';
import { newPasskey } from '../support/authenticator.ts';
import { newSshSigner } from '../support/ssh-signer.ts';

const run = 'r-20261121-7kq2m';
const worker = newWorkerKey();

const ann = newSshSigner('ann');
const bob = newSshSigner('bob');

let directory: string;
/** What bob has signed, when that was taken, and when the hold was released: an hour later each time. */
let decidedAt: number;
let releasedAt: number;
const hour = 3_600_000;

/** A record whose entries are an hour apart, with the signatures of a worker or without. */
async function recordOf(name: string, vouched: boolean, approver = bob.signer): Promise<string> {
  const entries: EvidenceEntry[] = [];
  let atMs = Date.now();
  for (const written of await writtenOfRun(run, ann.signer, approver)) {
    const at = new Date(atMs).toISOString();
    const entry = chain(entries.at(-1), { run, at, ...written, worker: vouched ? worker.publicKey : undefined });
    const signature = Buffer.from(worker.sign(bytesOfEntry(entry.hash))).toString('base64url');
    entries.push(vouched ? { ...entry, signature } : entry);
    if (entry.kind === 'decision.accepted') decidedAt = atMs;
    if (entry.kind === 'hold.released') releasedAt = atMs;
    atMs += hour;
  }
  const file = path.join(directory, name);
  await writeFile(file, entries.map((entry) => `${lineOf(entry)}\n`).join(''));
  return file;
}

let vouched: string;
let unvouched: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-keys-'));
  unvouched = await recordOf('unvouched.jsonl', false);
  vouched = await recordOf('vouched.jsonl', true);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const time = (ms: number): string => new Date(ms).toISOString();
const policies = {
  production: {
    name: 'production',
    atLeast: 1,
    of: 'sre',
    exclude: ['requester' as const],
    reason: 'optional' as const,
    expiresMs: 60_000,
  },
};
const authority = { groups: { sre: ['ann', 'bob'] }, policies, workers: { blue: { key: worker.publicKey, from: '2020-01-01T00:00:00Z' } } };

function verified(file: string, times: Partial<PersonKey>): Promise<EvidenceReport> {
  const { workers: _workers, ...unsigned } = authority;
  const people = { ann: { keys: [ann.key] }, bob: { keys: [{ ...bob.key, ...times }] } };
  return verifyEvidence(file, people, { authority: file === vouched ? authority : unsigned });
}

test('a record of SSH signatures is verified with public keys alone, with a configuration or without', async () => {
  expect(await verifyEvidence(vouched)).toMatchObject({ ok: true, problems: [] });
  expect(await verified(vouched, {})).toMatchObject({ ok: true, problems: [], notes: [] });
});

const withOpenSsh = hasOpenSsh('verifying the signatures of a record with ssh-keygen') ? test : test.skip;

withOpenSsh('its signatures are verified by ssh-keygen, too, once they are exported', async () => {
  const { entries } = await readEvidence(vouched);
  const folder = path.join(directory, 'exported');
  const people = { ann: { keys: [ann.key] }, bob: { keys: [bob.key] } };
  const { signatures, others } = await exportSignatures(entries, folder, people);
  expect([signatures.map(({ sequence, person }) => [sequence, person]), others]).toEqual([
    [
      [1, 'ann'],
      [6, 'bob'],
    ],
    0,
  ]);
  for (const { command, person, file } of signatures) {
    expect(openSsh('sh', ['-c', `cd ${folder} && ${command}`])).toContain(`Good "holdpoint" signature for ${person}`);
    expect(JSON.parse(await readFile(path.join(folder, `${file}.json`), 'utf8'))).toMatchObject({ person, run });
  }
  const [start, decision] = signatures;
  expect(() => openSsh('sh', ['-c', `cd ${folder} && ${decision?.command.replace(/< .*/, `< ${start?.file}`)}`])).toThrow('ended with');
  expect(() => openSsh('sh', ['-c', `cd ${folder} && ${decision?.command.replace('-I bob', '-I ann')}`])).toThrow('ended with');
  await expect(exportSignatures(entries, folder, people)).rejects.toThrow('it is there already');
});

test('a signature of a passkey is exported for openssl, with the statement that its challenge is the hash of', async () => {
  const passkey = newPasskey();
  const { entries, report } = await readEvidence(await recordOf('passkey.jsonl', true, passkey.signer('bob')));
  expect(report).toMatchObject({ ok: true, problems: [] });
  const folder = path.join(directory, 'of-passkeys');
  const { signatures, others } = await exportSignatures(entries, folder, undefined);
  expect([signatures.map(({ person }) => person), others]).toEqual([['ann', 'bob'], 0]);
  const { command = '', file = '' } = signatures[1] ?? {};
  expect(openSsh('sh', ['-c', `cd ${folder} && ${command}`])).toContain('Verified OK');
  const statement = await readFile(path.join(folder, `${file}.json`));
  const { challenge } = JSON.parse(await readFile(path.join(folder, `${file}.client.json`), 'utf8')) as { challenge: string };
  const hash = createHash('sha256').update('holdpoint statement v1\n').update(statement).digest('base64url');
  expect([hash, JSON.parse(statement.toString())]).toEqual([challenge, expect.objectContaining({ person: 'bob', run })]);
});

describe('the time of a key', () => {
  test('may have ended since: it was good then', async () => {
    expect(await verified(vouched, { until: time(releasedAt + 1) })).toMatchObject({ ok: true, problems: [], notes: [] });
    expect(await verified(unvouched, { until: time(releasedAt + 1) })).toMatchObject({ ok: true, problems: [], notes: [] });
  });

  test.each<[string, () => Partial<PersonKey>, string]>([
    ['before the signature was taken', () => ({ until: time(decidedAt - hour / 2) }), 'Entry 6 (decision.accepted) of'],
    ['before the signature was made', () => ({ from: time(decidedAt) }), 'Entry 6 (decision.accepted) of'],
    ['before the hold was released', () => ({ until: time(releasedAt - hour / 2) }), 'Entry 7 (hold.released) of'],
  ])('that does not fit, %s, is a problem', async (_what, times, sentence) => {
    const { ok, problems } = await verified(vouched, times());
    expect(ok).toBe(false);
    expect(problems[0]?.sentence).toContain(sentence);
    expect(problems[0]?.sentence).toContain('key of bob that counts');
  });
});

describe('a key that is revoked', () => {
  test('after all of it was written is noted, where a known worker vouches for when that was', async () => {
    const report = await verified(vouched, { revoked: time(releasedAt + 1) });
    expect(report).toMatchObject({ ok: true, problems: [] });
    expect(report.notes).toEqual([
      expect.stringMatching(/^Entry 6 \(decision\.accepted\) of .* is signed with a key of bob that was revoked later, at /),
    ]);
  });

  test('is a problem where nobody vouches for when that was: whoever has the key could have dated it back', async () => {
    const { ok, problems } = await verified(unvouched, { revoked: time(releasedAt + 1) });
    expect(ok).toBe(false);
    expect(problems[0]?.sentence).toContain('is signed with a key of bob that was revoked later');
  });

  test.each<[string, () => string, string]>([
    ['before the signature', () => time(decidedAt - 2 * hour), 'Entry 6 (decision.accepted) of'],
    ['between the signature and the release', () => time(releasedAt - hour / 2), 'Entry 7 (hold.released) of'],
  ])('%s is a problem', async (_what, revoked, sentence) => {
    const { ok, problems } = await verified(vouched, { revoked: revoked() });
    expect(ok).toBe(false);
    expect(problems[0]?.sentence).toContain(sentence);
    expect(problems[0]?.sentence).toContain('key of bob that is revoked since');
  });
});

describe('when a hold is released', () => {
  const [signedMs, takenMs, releaseMs] = [0, hour, 2 * hour];
  const check = (people: Record<string, Partial<PersonKey>>, ...taken: Statement[]): string | undefined => {
    const all = { ann: { keys: [{ ...ann.key, ...people.ann }] }, bob: { keys: [{ ...bob.key, ...people.bob }] } };
    const keys = new KeyCheck(all);
    const entryOf = (kind: string, atMs: number, body: JsonObject) => chain(undefined, { run, at: time(atMs), kind, body });
    for (const statement of taken) {
      const jws = `of-${statement.person}`;
      const entry = entryOf(signedKinds[statement.kind], takenMs, { jws, hold: 'sign-drain', request: 2 });
      const key = textOfKey(statement.person === 'ann' ? ann.key : bob.key) ?? '';
      expect(keys.ofSigned(entry, { ok: true, statement: { ...statement, at: time(signedMs) }, key })).not.toHaveProperty('sentence');
    }
    return keys.ofRelease(entryOf('hold.released', releaseMs, { hold: 'sign-drain', request: 2 })).sentence;
  };
  const delegation = { ...statements.delegation, person: 'bob', to: 'ann' };
  const delegated = { ...statements['delegated-approval'], delegation: approvalId('of-bob') };
  const inAdvance = { ...statements['pre-approval'], person: 'bob' };

  test.each<[string, Partial<PersonKey>, string | undefined]>([
    ['was revoked by then', { revoked: time(releaseMs - hour / 2) }, 'is revoked since'],
    ['was over by then', { until: time(releaseMs - hour / 2) }, 'counts until'],
    ['was revoked after that', { revoked: time(releaseMs + 1) }, undefined],
    ['is good', {}, undefined],
  ])('a key behind it that %s is looked at, of whoever has delegated and of whoever has signed in advance', (_what, times, words) => {
    const found = words === undefined ? undefined : expect.stringContaining(`rests on a key of bob that ${words}`);
    expect(check({ bob: times }, delegation, delegated)).toEqual(found);
    expect(check({ bob: times }, inAdvance)).toEqual(found);
  });
});
