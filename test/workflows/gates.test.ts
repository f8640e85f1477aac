import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { answering, startEndpoint, type Endpoint } from '../support/endpoint.ts';
import { documentOf, startEngine, type Engine } from '../support/engine.ts';

const document = documentOf(`
  - { id: look, uses: eks.preflight }
  - { id: sign, hold: two }
  - { id: healthy, uses: gate.http, with: { endpoint: probe, deadline: 1s } }
  - { id: work, uses: kubernetes.cordon, with: { nodes: [node-first] } }`);

let engine: Engine;
let endpoint: Endpoint;
beforeAll(async () => {
  engine = await startEngine('gates');
});
beforeEach(async () => {
  endpoint = await startEndpoint();
  engine.configuration.endpoints = { probe: { url: endpoint.url } };
});
afterEach(() => endpoint.stop());
afterAll(() => engine.stop());

async function stuckAtGate(): ReturnType<typeof begun> {
  endpoint.answer = answering(503);
  const run = await begun();
  const { stuck } = await engine.until(run.target, 'stuck');
  expect(stuck).toMatchObject({ step: 'healthy', code: 'action-stuck', reason: expect.stringContaining('probe answers 503, not 200') });
  expect(run.site.done).toEqual([]);
  return run;
}

async function begun() {
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster, document);
  await engine.decide(target, 'ada');
  await engine.decide(target, 'grace');
  return { run, target, site };
}

test('a run passes a gate that is open, whatever it said when the plan was signed', async () => {
  endpoint.answer = answering(503);
  const { cluster, target } = engine.newSite();
  const { run } = await engine.begin(cluster, document);
  await engine.until(target, 'holding');
  endpoint.answer = answering(200);
  await engine.decide(target, 'ada');
  await engine.decide(target, 'grace');
  await engine.until(target, 'done');
  expect(await engine.verifiedKinds(run)).not.toContain('hold.drifted');
});

test('a gate that is shut stops the run; tried again when it is open, it lets it pass', async () => {
  const { target, site } = await stuckAtGate();
  endpoint.answer = answering(200);
  await engine.holdpoint.operate(target, 'retry', 'repaired', engine.keys.dana);
  await engine.until(target, 'done');
  expect(site.done).toHaveLength(3);
});

test('to go past a gate, as many sign as the policy asks for, none of whom has asked for it; the record verifies', async () => {
  const { run, target, site } = await stuckAtGate();
  await engine.holdpoint.operate(target, 'skip', 'the probe itself is broken', engine.keys.dana);
  const { hold } = await engine.until(target, ({ hold }) => hold?.request.hold === 'skip:healthy');
  expect(hold?.request.policy).toMatchObject({ name: 'two', atLeast: 2 });
  expect(hold?.plan.steps[0]?.plan.effects).toEqual([
    { object: 'step healthy', change: expect.stringContaining('although this gate is shut') },
  ]);
  await expect(engine.decide(target, 'dana')).rejects.toMatchObject({ code: expect.stringMatching(/excluded/) });
  expect(await engine.decide(target, 'ada')).toMatchObject({ state: 'waiting', missing: 1 });
  expect(site.done).toEqual([]);
  await engine.decide(target, 'grace');
  await engine.until(target, 'done');
  expect(site.done).toHaveLength(3);
  const kinds = await engine.verifiedKinds(run);
  expect(kinds).toContain('step.skipped');
});

test('a checklist waits for a person, and others sign each of its items', async () => {
  const checklist = documentOf(`
  - { id: sign, hold: two }
  - { id: check, uses: gate.manualCheck, with: { items: [The pager is quiet., The load balancer shows all nodes.] } }
  - { id: work, uses: kubernetes.cordon, with: { nodes: [node-first] } }`);
  const { cluster, target, site } = engine.newSite();
  const { run } = await engine.begin(cluster, checklist);
  await engine.decide(target, 'ada');
  await engine.decide(target, 'grace');
  const { stuck } = await engine.until(target, 'stuck');
  expect(stuck?.reason).toContain('1. The pager is quiet. 2. The load balancer shows all nodes.');
  await engine.holdpoint.operate(target, 'done', 'looked at both', engine.keys.dana);
  const { hold } = await engine.until(target, ({ hold }) => hold?.request.hold === 'done:check');
  expect(hold?.plan.steps[0]?.plan.effects).toEqual([
    { object: 'step check', change: 'checked by hand: The pager is quiet.' },
    { object: 'step check', change: 'checked by hand: The load balancer shows all nodes.' },
  ]);
  expect(await engine.decide(target, 'ada')).toMatchObject({ state: 'waiting', missing: 1 });
  expect(site.done).toEqual([]);
  await engine.decide(target, 'grace');
  await engine.until(target, 'done');
  await engine.verifiedKinds(run);
});
