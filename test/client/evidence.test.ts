import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createEvidenceDirectory } from '../../activities/evidence/directory.ts';
import { verifyEvidence } from '../../client/evidence.ts';
import { ed25519Signer, type Signer } from '../../client/signing.ts';
import type { PeopleKeys } from '../../domain/approval/keys.ts';
import { chain, lineOf, type EvidenceEntry } from '../../domain/evidence/evidence.ts';
import type { JsonObject } from '../../domain/json.ts';
import { isExhaustive } from '../support/exhaustive.ts';
import { approvalOf, planOfStep, signed, writtenOfRun } from '../support/signed-record.ts';

const run = 'r-20261121-7kq2m';

function newKey(person: string): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return ed25519Signer(person, publicKey.export({ format: 'jwk' }).x ?? '', async (bytes) => sign(null, bytes, privateKey));
}

const ann = newKey('ann');
const bob = newKey('bob');
const people: PeopleKeys = { ann: { key: ann.publicKey }, bob: { key: bob.publicKey } };

const approval = approvalOf(run, 'bob', planOfStep('drain', 'drain'));

let directory: string;
/** The record as the store keeps it, and the file that it was written to. */
let kept: string;
let file: string;
let text: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-verify-'));
  const store = createEvidenceDirectory(path.join(directory, 'evidence'));
  const entries = await writtenOfRun(run, ann, bob);
  for (const [index, entry] of entries.entries()) await store.append(run, { sequence: index + 1, ...entry });
  kept = store.pathOf(run);
  file = path.join(directory, 'record.jsonl');
  await verifyEvidence(kept, undefined, { output: file });
  text = await readFile(file, 'utf8');
});

afterAll(() => rm(directory, { recursive: true, force: true }));

/** A record in which entries were changed and everything was sealed anew, as somebody could who owns the disk. */
async function rewritten(change: (entry: EvidenceEntry) => Partial<Pick<EvidenceEntry, 'at' | 'kind' | 'body'>>): Promise<string> {
  const entries: EvidenceEntry[] = [];
  for (const line of text.trimEnd().split('\n')) {
    const entry = JSON.parse(line) as EvidenceEntry;
    entries.push(chain(entries.at(-1), { ...entry, ...change(entry) }));
  }
  const target = path.join(directory, 'rewritten.jsonl');
  await writeFile(target, entries.map((entry) => `${lineOf(entry)}\n`).join(''));
  return target;
}

const inDecision = (change: JsonObject) => (entry: EvidenceEntry) =>
  entry.kind === 'decision.accepted' ? { body: { ...entry.body, ...change } } : {};

describe('the record of a run', () => {
  test.each<[string, () => string, PeopleKeys | undefined]>([
    ['is in order, with the people of a configuration', () => kept, people],
    ['is in order, without the people of a configuration', () => kept, undefined],
    ['is in order when it was written to a file, with them', () => file, people],
  ])('that the store wrote %s', async (_title, place, known) => {
    const { proven, notProven, ...report } = await verifyEvidence(place(), known);
    expect(proven).toContain('bob signed the plan of hold sign-drain (request 1; 1 of sre, not the requester) before its steps began.');
    expect(notProven.join('\n')).toContain('No entry is signed by a worker');
    expect(report).toEqual({
      path: place(),
      run,
      ok: true,
      entries: 10,
      ending: 'ended',
      signatures: [
        { line: 1, sequence: 1, kind: 'run.started', person: 'ann', ok: true, madeWith: { type: 'ed25519' } },
        { line: 6, sequence: 6, kind: 'decision.accepted', person: 'bob', ok: true, madeWith: { type: 'ed25519' } },
      ],
      notes: [],
      workers: { signed: 0, known: 0 },
      problems: [],
    });
  });

  test('shows any single byte that was changed, added or removed', async () => {
    const bytes = await readFile(file);
    const target = path.join(directory, 'damaged.jsonl');
    for (let place = 0; place < bytes.length; place += isExhaustive ? 7 : 35) {
      const flipped = Buffer.from(bytes);
      flipped[place] = (flipped[place] ?? 0) ^ (1 << (place % 8));
      const removed = Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + 1)]);
      const added = Buffer.concat([bytes.subarray(0, place), Buffer.from([place % 256]), bytes.subarray(place)]);
      for (const damaged of [flipped, removed, added]) {
        await writeFile(target, damaged);
        const { ok, problems } = await verifyEvidence(target);
        expect({ place, ok, found: problems.length > 0 }).toEqual({ place, ok: false, found: true });
      }
    }
  });

  test('shows a byte order mark and bytes that are no text', async () => {
    const target = path.join(directory, 'damaged.jsonl');
    await writeFile(target, `\ufeff${text}`);
    expect((await verifyEvidence(target)).problems[0]).toEqual({ line: 1, sentence: 'The line is not JSON.' });
    await writeFile(target, Buffer.concat([Buffer.from(text), Buffer.from([0xff])]));
    expect((await verifyEvidence(target)).problems[0]?.sentence).toContain('The file is not UTF-8 text');
  });

  test('that is cut off before its end is said to be open or cut off', async () => {
    const target = path.join(directory, 'short.jsonl');
    await writeFile(target, text.split('\n').slice(0, 3).join('\n') + '\n');
    expect(await verifyEvidence(target)).toMatchObject({ ok: true, ending: 'open-or-cut-off', entries: 3 });
  });

  test('that is not there is an error', async () => {
    await expect(verifyEvidence(path.join(directory, 'none.jsonl'))).rejects.toThrow('ENOENT');
  });
});

describe('a record that was sealed anew from its first line', () => {
  test.each<[string, JsonObject, string]>([
    ['the decision', { decision: 'reject' }, 'bob signed decision "approve", but it should be "reject".'],
    ['the plan', { planHash: 'sha256:9' }, `bob signed planHash "${approval.planHash}", but it should be "sha256:9".`],
    ['the hold', { hold: 'sign-delete' }, 'bob signed hold "sign-drain", but it should be "sign-delete".'],
    ['the request', { request: 2 }, 'bob signed request 1, but it should be 2.'],
    ['the reason', { reason: '' }, 'bob signed reason "Grüße: gelesen", but it should be "".'],
    ['the person', { person: 'ann' }, 'The statement is to be from ann, but its header names "bob" as the signer.'],
    ['the key', { publicKey: ann.publicKey }, 'The signature does not match the key of bob'],
    ['the key for something that is none', { publicKey: 'oops' }, 'is signed with "oops", which is no public key.'],
    ['the signature', { jws: 'a.b.c' }, 'is not a signed token that can be read'],
    ['the signature for nothing', { jws: null }, 'should be signed, but lacks the person, the signature or the key.'],
  ])('and in which %s was changed is found out by the signature', async (_title, change, sentence) => {
    const report = await verifyEvidence(await rewritten(inDecision(change)));
    expect(report.ok).toBe(false);
    expect(report.problems[0]).toEqual({ line: 6, sentence: expect.stringContaining(sentence) });
    expect(report.problems[0]?.sentence).toContain('Entry 6 (decision.accepted)');
    expect(report.signatures.map(({ ok }) => ok)).toEqual([true, false]);
  });

  test('and that lacks a claim which was signed is found out', async () => {
    const target = await rewritten((entry) => {
      const { hold: _hold, ...body } = entry.body;
      return entry.kind === 'decision.accepted' ? { body } : {};
    });
    expect((await verifyEvidence(target)).problems[0]?.sentence).toContain('bob signed hold "sign-drain", but it should be nothing.');
  });

  test('and that makes a decision of a start is found out', async () => {
    const target = await rewritten((entry) => (entry.sequence === 1 ? { kind: 'decision.accepted' } : {}));
    expect((await verifyEvidence(target)).problems[0]?.sentence).toContain('ann signed kind "start", but it should be "decision".');
  });

  test('and dated before the signature is found out', async () => {
    const target = await rewritten(() => ({ at: '2020-01-01T00:00:00Z' }));
    expect((await verifyEvidence(target)).problems[0]?.sentence).toContain('was written at 2020-01-01T00:00:00Z, before ann signed it');
  });

  test('and signed with a key made up for it is found out with the people of the configuration, and only with them', async () => {
    const impostor = newKey('bob');
    const forged = await signed(approval, impostor);
    const target = await rewritten(inDecision(forged.body));
    expect((await verifyEvidence(target)).ok).toBe(true);
    expect((await verifyEvidence(target, people)).problems[0]).toEqual({
      line: 6,
      sentence: 'Entry 6 (decision.accepted) is signed with a key that cannot be vouched for: the configuration names another key for bob.',
    });
    expect((await verifyEvidence(target, { ann: { key: ann.publicKey } })).problems[0]?.sentence).toContain(
      'the configuration does not know bob.',
    );
  });

  test('and moved to another run is found out by every signature', async () => {
    const entries: EvidenceEntry[] = [];
    for (const line of text.trimEnd().split('\n')) {
      entries.push(chain(entries.at(-1), { ...(JSON.parse(line) as EvidenceEntry), run: 'r-other' }));
    }
    const target = path.join(directory, 'moved.jsonl');
    await writeFile(target, entries.map((entry) => `${lineOf(entry)}\n`).join(''));
    expect((await verifyEvidence(target)).problems.map(({ sentence }) => sentence)).toEqual(
      expect.arrayContaining([
        `Entry 1 (run.started): ann signed run "${run}", but it should be "r-other".`,
        `Entry 6 (decision.accepted): bob signed run "${run}", but it should be "r-other".`,
      ]),
    );
  });
});
