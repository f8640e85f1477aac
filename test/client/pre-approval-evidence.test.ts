import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { verifyEvidence, type EvidenceReport } from '../../client/evidence.ts';
import { ed25519Signer, type Signer } from '../../client/signing.ts';
import { expectedOf, type PreApprovalStatement } from '../../domain/approval/statement.ts';
import { chain, lineOf, signedEvidence, splitBody, type EvidenceEntry } from '../../domain/evidence/evidence.ts';
import type { JsonObject } from '../../domain/json.ts';
import { digestOf } from '../../domain/plan/plan.ts';
import { startHold } from '../../domain/schedule/schedule.ts';
import { statements } from '../support/statements.ts';

const inputs: JsonObject = { cluster: 'demo', nodes: ['a', 'b'] };
/** For what comes before the first hold, as a record with a hold would need its request, too. */
const preApproval: PreApprovalStatement = { ...statements['pre-approval'], hold: startHold, inputs: digestOf(inputs) };
const startedAt = '2026-11-28T20:00:01.000Z';
const inOpening = '2026-11-28T20:30:00.000Z';

let directory: string;
let ann: Signer;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-pre-approval-'));
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  ann = ed25519Signer('ann', publicKey.export({ format: 'jwk' }).x ?? '', async (bytes) => sign(null, bytes, privateKey));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Told {
  at?: string;
  signed?: Partial<PreApprovalStatement>;
  body?: JsonObject;
  started?: JsonObject;
}

/** Verifies a record in which a run accepts a pre-approval. */
async function verified({ at = inOpening, signed = {}, body = {}, started = {} }: Told = {}): Promise<EvidenceReport> {
  const start = { ...statements.start, at: startedAt };
  const ofStart = signedEvidence(expectedOf(start), await ann.sign(start), ann.publicKey);
  const statement = { ...preApproval, ...signed };
  const accepted = signedEvidence(expectedOf(statement), await ann.sign(statement), ann.publicKey);
  const startBody = splitBody({ ...ofStart.body, inputs, ...started });
  const first = chain(undefined, { run: start.run, at: startedAt, kind: ofStart.kind, body: startBody.body });
  const second = chain(first, { run: start.run, at, kind: accepted.kind, body: { ...accepted.body, ...body } });
  const file = path.join(directory, 'record.jsonl');
  await writeFile(file, [first, second].map((entry: EvidenceEntry) => `${lineOf(entry)}\n`).join(''));
  return verifyEvidence(file, { ann: { key: ann.publicKey } });
}

test('a pre-approval that counted for the run is verified without any server', async () => {
  expect(await verified()).toMatchObject({
    ok: true,
    signatures: [
      { kind: 'run.started', ok: true },
      { kind: 'pre-approval.accepted', person: 'ann', ok: true },
    ],
    problems: [],
  });
});

test.each<[string, Told, string]>([
  ['another plan than the signed one', { body: { planHash: 'sha256:9' } }, 'ann signed planHash "sha256:1111'],
  [
    'another opening than the signed one',
    { body: { notAfter: '2026-12-29T02:00:00.000Z' } },
    'ann signed notAfter "2026-11-29T02:00:00.000Z"',
  ],
  ['a time before its opening', { signed: { notBefore: '2026-11-28T21:00:00.000Z' } }, 'counts from 2026-11-28T21:00:00.000Z on'],
  ['a time after its opening', { at: '2026-11-29T02:01:00.001Z' }, 'counted until 2026-11-29T02:00:00.000Z'],
  ['a time too long after the signature', { signed: { at: '2026-10-01T10:00:00.000Z' } }, 'more than 31 days after it was signed'],
  ['a run on another target', { signed: { target: 'eks/eu-central-1/other' } }, 'is for target eks/eu-central-1/other'],
  ['a run of another runbook', { signed: { runbook: 'sha256:9' } }, 'is for runbook sha256:9'],
  ['a run with other inputs', { started: { inputs: { cluster: 'demo', nodes: ['c'] } } }, `is for inputs ${digestOf(inputs)}`],
])('a pre-approval that was accepted for %s is found out', async (_what, told, sentence) => {
  const { ok, problems } = await verified(told);
  expect(ok).toBe(false);
  expect(problems).toEqual([{ line: 2, sentence: expect.stringContaining(sentence) }]);
});

test('an entry that was written a moment after the opening is taken for one accepted in it', async () => {
  expect((await verified({ at: '2026-11-29T02:01:00.000Z' })).ok).toBe(true);
});

test('inputs that are kept beside the record are known by their digest', async () => {
  const large: JsonObject = { cluster: 'demo', nodes: Array.from({ length: 10_000 }, (_none, index) => `node-${index}`) };
  const told = await verified({ started: { inputs: large }, signed: { inputs: digestOf(large) } });
  expect(told.signatures).toMatchObject([{ ok: true }, { ok: true }]);
  const other = await verified({ started: { inputs: large } });
  expect(other.signatures).toMatchObject([{ ok: true }, { ok: false }]);
});
