import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Policy } from '../../domain/approval/policy.ts';
import { documentOf, people, runbookOf, startEngine, type Engine } from '../support/engine.ts';

const terms = { exclude: ['requester'], reason: 'optional', expiresMs: 600_000 } as const;
const policies: Record<string, Policy> = {
  both: {
    name: 'both',
    all: [
      { atLeast: 1, of: 'sre' },
      { atLeast: 1, of: 'dba' },
    ],
    ...terms,
    exclude: ['requester'],
  },
  others: { name: 'others', atLeast: 1, of: 'sre', ...terms, exclude: ['earlier-approvers'] },
  patient: { name: 'patient', atLeast: 2, of: 'everyone', ...terms, exclude: [], deny: 2 },
};

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('policies');
  Object.assign(engine.configuration.policies, policies);
  Object.assign(engine.configuration.groups, { dba: ['ada', 'oscar'], everyone: [...people] });
});
afterAll(() => engine.stop());

test('one of each of two groups releases a hold, and somebody who is in both stands for one of them', async () => {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf({ policy: 'both' }));
  await expect(engine.decide(target, 'ada')).resolves.toEqual({ state: 'waiting', missing: 1 });
  expect(site.done).toEqual([]);
  await expect(engine.decide(target, 'oscar')).resolves.toMatchObject({ state: 'approved' });
  await engine.until(target, 'done');
  await expect(engine.verifiedKinds(run)).resolves.toContain('hold.released');
  await engine.replay(target);
});

test('whoever leaves one of the groups after signing is taken back, and the hold waits on', async () => {
  const { cluster, target, site } = engine.newSite();
  await engine.begin(cluster, runbookOf({ policy: 'both' }));
  await engine.decide(target, 'oscar');
  engine.configuration.groups.dba = ['ada'];
  try {
    await expect(engine.decide(target, 'grace')).resolves.toEqual({ state: 'waiting', missing: 1 });
    expect(site.done).toEqual([]);
    await engine.decide(target, 'ada');
    await engine.until(target, 'done');
  } finally {
    engine.configuration.groups.dba = ['ada', 'oscar'];
  }
});

test('whoever has signed at an earlier hold does not sign at one that wants others', async () => {
  const { cluster, target } = engine.newSite();
  const document = documentOf(`
  - { id: first, hold: one }
  - { id: work, uses: kubernetes.cordon, with: { nodes: [node-first] } }
  - { id: second, hold: others }
  - { id: look, uses: eks.preflight }`);
  const { run } = await engine.begin(cluster, document);
  await engine.decide(target, 'ada');
  await engine.until(target, ({ hold, phase }) => phase === 'holding' && hold?.request.hold === 'second');
  await expect(engine.decide(target, 'ada')).rejects.toMatchObject({ code: 'earlier-approver-excluded' });
  await engine.decide(target, 'grace');
  await engine.until(target, 'done');
  await expect(engine.verifiedKinds(run)).resolves.toContain('attempt.refused');
});

test('a policy that takes two rejections is not closed by one', async () => {
  const { cluster, target } = engine.newSite();
  const { run } = await engine.begin(cluster, runbookOf({ policy: 'patient' }));
  await expect(engine.decide(target, 'ada', 'reject', 'not today')).resolves.toEqual({ state: 'waiting', missing: 2 });
  await expect(engine.decide(target, 'ada', 'approve')).rejects.toMatchObject({ code: 'already-decided' });
  await expect(engine.decide(target, 'grace', 'reject', 'nor me')).resolves.toMatchObject({ state: 'rejected' });
  const { ended } = await engine.until(target, 'rejected');
  expect(ended?.reason).toContain('rejected by grace: nor me');
  await engine.verifiedKinds(run);
});
