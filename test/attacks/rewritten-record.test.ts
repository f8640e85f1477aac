import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { verifyEvidence, type EvidenceReport, type RecordOptions } from '../../client/evidence.ts';
import { ed25519Signer, type Signer } from '../../client/signing.ts';
import type { Policy } from '../../domain/approval/policy.ts';
import { lineOf } from '../../domain/evidence/evidence.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { sealSpan, type StepPlan } from '../../domain/plan/plan.ts';
import { approvalOf, planOfStep, sealed, signed, startOf, writtenOfRun, type Written } from '../support/signed-record.ts';

/**
 * Somebody owns the place where records are kept, and makes a record anew from its first line: every hash fits. They have no key of
 * anybody but themselves.
 */
const run = 'r-20261128-attack';

function newKey(person: string): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return ed25519Signer(person, publicKey.export({ format: 'jwk' }).x ?? '', async (bytes) => sign(null, bytes, privateKey));
}

const ann = newKey('ann');
const bob = newKey('bob');
const mallory = newKey('mallory');
const production: Policy = { name: 'production', atLeast: 1, of: 'sre', exclude: ['requester'], reason: 'optional', expiresMs: 60_000 };
const people = { ann: { key: ann.publicKey }, bob: { key: bob.publicKey } };
const authority = { groups: { sre: ['ann', 'bob'] }, policies: { production } };

let directory: string;
let genuine: Written[];
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'holdpoint-rewritten-'));
  genuine = await writtenOfRun(run, ann, bob);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function verified(written: readonly Written[], known?: typeof people, options?: RecordOptions): Promise<EvidenceReport> {
  const file = path.join(directory, 'record.jsonl');
  await writeFile(
    file,
    sealed(run, written)
      .map((entry) => `${lineOf(entry)}\n`)
      .join(''),
  );
  return verifyEvidence(file, known, options);
}

/** The entries with the bodies of one kind changed. */
const changed = (kind: string, change: (body: JsonObject) => JsonObject, nth = 1): Written[] => {
  let seen = 0;
  return genuine.map((entry) => (entry.kind === kind && (seen += 1) === nth ? { kind, body: change(entry.body) } : entry));
};
const without = (...kinds: string[]): Written[] => genuine.filter(({ kind }) => !kinds.includes(kind));
const before = (kind: string, ...more: Written[]): Written[] =>
  genuine.flatMap((entry) => (entry.kind === kind ? [...more, entry] : [entry]));
const drain = planOfStep('drain', 'drain');
const worse = planOfStep('drain', 'drain with force');
const plan = worse as unknown as Json;

test('the genuine record is in order', async () => {
  expect(await verified(genuine, people, { authority })).toMatchObject({ ok: true, ending: 'ended', problems: [] });
});

describe('a record that was made anew is found out', () => {
  test.each<[string, () => Written[] | Promise<Written[]>, string]>([
    [
      'that shows another plan under the hash that was signed',
      () => changed('hold.requested', (body) => ({ ...body, plan: { ...worse, hash: drain.hash } as unknown as Json })),
      `Entry 5 (hold.requested) shows a plan whose hash is ${worse.hash}, but says ${drain.hash}: the plan was replaced.`,
    ],
    [
      'that shows another plan under its own hash',
      () => changed('hold.requested', (body) => ({ ...body, plan, planHash: worse.hash })),
      `Entry 6 (decision.accepted) is about the plan ${drain.hash}, but hold sign-drain asks for ${worse.hash}.`,
    ],
    [
      'whose approval is for another hash',
      async () => changed('decision.accepted', () => ({ ...moved(drain.hash, worse.hash) })),
      `Entry 6 (decision.accepted): bob signed planHash "${drain.hash}", but it should be "${worse.hash}".`,
    ],
    [
      'from which the decision was deleted',
      () => without('decision.accepted'),
      'releases hold sign-drain for which 1 of sre, not the requester must sign, but nobody did',
    ],
    ['from which the release was deleted', () => without('hold.released'), 'begins step drain, which is not in the plan that was signed'],
    ['from which request and release were deleted', () => without('hold.requested', 'hold.released'), 'which is not open then'],
    ['from which the start was deleted', () => without('run.started'), 'Entry 1 (plan.made) comes before anybody has signed the start'],
    [
      'whose start was signed for another plan',
      () => changed('plan.made', () => ({ plan: planOfStep('look', 'cordon') as unknown as Json })),
      'begins step look, but no plan was signed by then',
    ],
    [
      'that begins a step with other effects than were signed',
      () => changed('step.started', (body) => ({ ...body, effects: [{ object: 'Node/b', change: 'drain' }] }), 2),
      'Entry 8 (step.started) begins step drain with another action or other effects than the plan that was signed',
    ],
    [
      'that begins a step that nobody has signed',
      () => before('run.ended', { kind: 'step.started', body: { step: 'delete', uses: 'eks.deleteNodegroup', effects: [] } }),
      'begins step delete, which is not in the plan that was signed',
    ],
    [
      'that leaves a step out that was signed',
      () => changed('step.started', (body) => body).map((entry) => (entry.body.step === 'drain' ? skipped : entry)),
      'leaves step drain out, which is in the plan that was signed',
    ],
    [
      'that leaves a step out with signatures that are not there',
      () => before('run.ended', { kind: 'step.skipped', body: { step: 'drain', askedBy: 'ann', reason: 'x', signedBy: ['bob'] } }),
      'rests on signatures for skip:drain that are not in the record',
    ],
    [
      'that rolls back, which nobody has signed',
      () =>
        before('run.ended', { kind: 'undo.started', body: { plan: planOfStep('undo:drain', 'uncordon') as unknown as Json, reason: 'x' } }),
      'begins a rollback that nobody has signed',
    ],
    [
      'that asks for an exception, which nobody has asked for',
      () => before('run.ended', asked()),
      'is about skip:drain, which ann has not asked for by any signed command before',
    ],
    [
      'that calls a run done of which a step is not',
      () => genuine.filter(({ kind, body }) => kind !== 'step.done' || body.step !== 'drain'),
      'Entry 9 (run.ended) comes too soon: the run is called done, and the record does not say that drain was done.',
    ],
    [
      'that says somebody has aborted the run',
      () => changed('run.ended', (body) => ({ ...body, phase: 'aborted' })),
      'nobody has signed that',
    ],
    [
      'that says the run was rejected',
      () => changed('run.ended', (body) => ({ ...body, phase: 'rejected' })),
      'no such decision is in the record',
    ],
    ['that says the run was undone', () => changed('run.ended', (body) => ({ ...body, phase: 'undone' })), 'no rollback was begun'],
    ['that says the run was refused', () => changed('run.ended', (body) => ({ ...body, phase: 'refused' })), 'but steps were begun'],
    ['that ends in a way there is none', () => changed('run.ended', (body) => ({ ...body, phase: 'fine' })), 'which is no way to end'],
    [
      'in which one approval counts twice',
      () => before('hold.released', ...genuine.filter(({ kind }) => kind === 'decision.accepted')),
      'Entry 7 (decision.accepted) repeats the statement that was signed for entry 6',
    ],
    [
      'in which somebody signs who may not',
      async () => changed('decision.accepted', () => malloryBody),
      'Entry 6 (decision.accepted) counts mallory, who may not sign for hold sign-drain: bob may.',
    ],
    [
      'in which the requester is somebody else, so that they may sign',
      () => changed('hold.requested', (body) => ({ ...body, requester: 'mallory' })),
      'names mallory as the requester, who has not signed the start',
    ],
  ])('%s', async (_what, attack, sentence) => {
    const { ok, problems } = await verified(await attack());
    expect({ ok, sentences: problems.map((problem) => problem.sentence) }).toEqual({
      ok: false,
      sentences: expect.arrayContaining([expect.stringContaining(sentence)]),
    });
  });
});

describe('a step behind a gate', () => {
  const gate = { ...drain.steps[0], id: 'healthy', uses: 'gate.http', plan: { ...drain.steps[0]!.plan, effects: [] } } as StepPlan;
  const gated = sealSpan({ ...drain, steps: [gate, ...drain.steps] });
  const of = ({ id, uses, plan }: StepPlan): Written[] => [
    { kind: 'step.started', body: { step: id, uses, effects: plan.effects as unknown as Json } },
    { kind: 'step.done', body: { step: id, outputs: {} } },
  ];
  const shutAs = expect.stringContaining('begins step drain behind gate healthy, which the record does not say that the run has passed.');
  const leftAs = expect.stringContaining('the record does not say that healthy was done.');

  test.each<[string, Written[], unknown[]]>([
    ['after which it comes', gated.steps.flatMap(of), []],
    ['that is not in the record', of(drain.steps[0]!), [shutAs, leftAs]],
    ['that was looked at only', [...of(gate).slice(0, 1), ...of(drain.steps[0]!), ...of(gate).slice(1)], [shutAs]],
  ])('%s', async (_what, steps, sentences) => {
    const started = genuine[0]!;
    const start = await signed(startOf(run, 'ann', gated), ann);
    const end = genuine.at(-1)!;
    const made = { kind: 'plan.made', body: { plan: gated as unknown as Json } };
    const { problems } = await verified([{ ...start, body: { ...started.body, ...start.body } }, made, ...steps, end], people);
    expect(problems.map(({ sentence }) => sentence)).toEqual(sentences);
  });
});

describe('with holdpoint.yaml a record is found out', () => {
  test('in which somebody was made a member, and has signed', async () => {
    const written = changed('hold.requested', (body) => ({ ...body, members: ['ann', 'mallory'] })).map((entry) =>
      entry.kind === 'decision.accepted' ? { ...entry, body: malloryBody } : entry,
    );
    // Without it nothing says who mallory is.
    expect(await verified(written)).toMatchObject({ ok: true });
    const { problems } = await verified(written, people, { authority });
    expect(problems.map(({ sentence }) => sentence)).toEqual([
      'Entry 5 (hold.requested) records other people of sre than holdpoint.yaml: ' +
        'mallory is not in holdpoint.yaml, bob is not in the record.',
      expect.stringContaining('the configuration does not know mallory'),
      expect.stringContaining('releases hold sign-drain'),
      expect.stringContaining('begins step drain'),
    ]);
  });

  test('in which the policy was made a lesser one', async () => {
    const two = { groups: { sre: ['ann', 'bob', 'cleo'] }, policies: { production: { ...production, atLeast: 2 } } };
    const { problems } = await verified(genuine, people, { authority: two });
    expect(problems.map(({ sentence }) => sentence)).toEqual([
      'Entry 5 (hold.requested) records the policy production as 1 of sre, not the requester, ' +
        'but holdpoint.yaml has 2 of sre, not the requester.',
      'Entry 5 (hold.requested) records other people of sre than holdpoint.yaml: cleo is not in the record.',
      'Entry 7 (hold.released) releases hold sign-drain, ' +
        'for which holdpoint.yaml asks for 2 of sre, not the requester; of them bob has signed.',
    ]);
  });

  test('whose policy there is not', async () => {
    const { problems } = await verified(genuine, people, { authority: { ...authority, policies: {} } });
    expect(problems.map(({ sentence }) => sentence)).toEqual([
      'Entry 7 (hold.released) releases hold sign-drain by the policy production, which holdpoint.yaml does not have.',
    ]);
  });
});

/** The approval as if it were for another hash. */
function moved(from: string, to: string): JsonObject {
  const { body = {} } = genuine.find(({ kind }) => kind === 'decision.accepted') ?? {};
  return JSON.parse(JSON.stringify(body).replace(from, to)) as JsonObject;
}

const skipped: Written = { kind: 'step.skipped', body: { step: 'drain', if: 'false' } };

function asked(): Written {
  const { body = {} } = genuine.find(({ kind }) => kind === 'hold.requested') ?? {};
  return { kind: 'hold.requested', body: { ...body, hold: 'skip:drain', number: 1, askedBy: 'ann' } };
}

let malloryBody: JsonObject;
beforeAll(async () => {
  ({ body: malloryBody } = await signed(approvalOf(run, 'mallory', drain), mallory));
});
