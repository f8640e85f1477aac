import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Rule } from '../../domain/approval/rules.ts';
import { documentOf, runbookOf, startEngine, workAtOnce, type Engine } from '../support/engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine('rules');
});
afterAll(() => engine.stop());
beforeEach(() => {
  engine.configuration.rules = undefined;
});

const everywhere = ['eks/*/*'];

describe('whoever starts a run does not choose what has to be signed', () => {
  test('a runbook without a hold is refused, and nothing is touched', async () => {
    const { cluster, target, site } = engine.newSite();
    const { admission } = await engine.begin(cluster, workAtOnce, 'oscar');
    expect(admission).toMatchObject({
      admitted: false,
      code: 'plan-blocked',
      reason:
        `Step work is blocked: \`rules\` of holdpoint.yaml: kubernetes.cordon changes what is in use on ${target}. ` +
        'There is no hold above it, and no rule lets the start of oscar be enough.',
      remedy: 'Put a hold above it, or allow it with `start` of a rule.',
    });
    await engine.until(target, 'refused');
    expect(site.done).toEqual([]);
  });

  test('nor by somebody whom the rule does not name, whatever the plan has said to nobody in particular', async () => {
    engine.configuration.rules = [{ targets: everywhere, start: ['sre'] }];
    const refused = engine.newSite();
    await expect(engine.begin(refused.cluster, workAtOnce, 'oscar')).resolves.toMatchObject({ admission: { code: 'plan-blocked' } });
    const allowed = engine.newSite();
    await expect(engine.begin(allowed.cluster, workAtOnce, 'ada')).resolves.toMatchObject({ admission: { admitted: true } });
    await engine.until(allowed.target, 'done');
    expect([refused.site.done, allowed.site.done]).toEqual([[], ['first', 'second', 'third']]);
  });

  test.each<[string, Rule, RegExp]>([
    ['starts what they may not operate', { targets: everywhere, operate: ['sre'] }, /oscar may not start eks\.preflight on .*: sre may\./],
    [
      'takes a target that is covered by a pattern',
      { targets: ['eks/eu-*/rules-*'], changes: ['reads'], operate: ['ada'] },
      /oscar may not start eks\.preflight/,
    ],
  ])('somebody who %s is refused', async (_title, rule, reason) => {
    engine.configuration.rules = [rule];
    const { cluster } = engine.newSite();
    const { admission } = await engine.begin(cluster, runbookOf(), 'oscar');
    expect(admission).toMatchObject({ admitted: false, code: 'plan-blocked', reason: expect.stringMatching(reason) });
  });

  test('a hold of a weaker policy than the rule asks for releases nothing', async () => {
    engine.configuration.rules = [{ targets: everywhere, changes: ['changes'], policy: 'two' }];
    const { cluster, target, site } = engine.newSite();
    const forecast = await engine.holdpoint.plan(runbookOf({ policy: 'one' }), { cluster });
    expect(forecast.spans[1]?.plan.steps[0]?.plan.blockers).toMatchObject([
      { object: '`rules[0]` of holdpoint.yaml', reason: expect.stringContaining('needs the policy two, at least, and one is weaker') },
    ]);
    await engine.begin(cluster, runbookOf({ policy: 'one' }));
    const { stuck } = await engine.until(target, 'stuck');
    expect(stuck?.reason).toContain('needs the policy two, at least, and one is weaker');
    expect(site.done).toEqual([]);
    const strong = engine.newSite();
    await engine.begin(strong.cluster, runbookOf({ policy: 'two' }));
    await engine.decide(strong.target, 'ada');
    await engine.decide(strong.target, 'grace');
    await engine.until(strong.target, 'done');
  });

  test('a rule that comes while people sign counts when they have', async () => {
    const { cluster, target, site } = engine.newSite();
    await engine.begin(cluster, runbookOf({ policy: 'one' }));
    await engine.until(target, 'holding');
    engine.configuration.rules = [{ policy: 'two' }];
    await engine.decide(target, 'ada');
    const { stuck } = await engine.until(target, 'stuck');
    expect(stuck?.reason).toContain('needs the policy two, at least');
    expect(site.done).toEqual([]);
  });

  test('a forbidden setting blocks its step, as a default does', async () => {
    const settings = [{ action: 'kubernetes.drain', setting: 'onDeadline', is: 'delete' }];
    engine.configuration.rules = [{ settings }, { settings: [{ action: 'kubernetes.drain', setting: 'jobs', is: 'wait', policy: 'two' }] }];
    const document = documentOf(`
  - { id: sign, hold: one }
  - { id: work, uses: kubernetes.drain, with: { nodes: [a], onDeadline: delete, podDeadline: 1m } }`);
    const { spans } = await engine.holdpoint.plan(document, { cluster: engine.newSite().cluster });
    expect(spans[1]?.plan.steps[0]?.plan.blockers.map(({ object, reason }) => `${object}: ${reason}`)).toEqual([
      expect.stringMatching(/^`rules\[0\]\.settings\[0\]` .*kubernetes\.drain has `onDeadline: "delete"`, which is forbidden on eks/),
      expect.stringMatching(/^`rules\[1\]\.settings\[0\]` .*kubernetes\.drain has `jobs: "wait"`. It needs the policy two, at least/),
    ]);
  });

  test('a command comes to nothing from somebody whom no rule lets operate the target, but a stop does', async () => {
    engine.configuration.rules = [{ start: ['people'] }];
    const { target, site, run } = await engine.working((fresh) => fresh.slow.add('first'));
    await engine.until(target, ({ steps }) => steps.some(({ status }) => status === 'running'));
    // Whoever has started it must stay among them: a worker holds the next step against the rules of that moment.
    engine.configuration.rules = [{ start: ['people'] }, { targets: everywhere, operate: ['sre', 'dana'] }];
    await engine.sendVerb(target, 'oscar', { run, command: 'pause', step: '' });
    await engine.until(target, 'paused');
    await expect(engine.sendVerb(target, 'oscar', { run, command: 'resume', step: '' })).rejects.toMatchObject({
      cause: { type: 'rule-operator', message: `oscar may not operate runs on ${target}: sre and dana may.` },
    });
    site.slow.clear();
    await engine.sendVerb(target, 'ada', { run, command: 'resume', step: '' });
    await engine.until(target, 'done');
  });

  test('a rollback comes to nothing that somebody has asked for whom no rule lets operate the target by now', async () => {
    engine.configuration.rules = [{ start: ['people'] }];
    const { target, site, run } = await engine.working((fresh) => fresh.slow.add('first'));
    await engine.until(target, ({ steps }) => steps.some(({ status }) => status === 'running'));
    await engine.sendVerb(target, 'oscar', { run, command: 'pause', step: '' });
    await engine.until(target, 'paused');
    site.slow.clear();
    await engine.sendVerb(target, 'oscar', { run, command: 'undo', step: '' });
    await engine.until(target, 'holding');
    engine.configuration.rules = [{ start: ['people'] }, { targets: everywhere, operate: ['sre', 'dana'] }];
    await engine.decide(target, 'ada');
    const { stuck } = await engine.until(target, 'stuck');
    expect(stuck).toMatchObject({ code: 'step-not-signed', reason: expect.stringContaining(`oscar may not operate runs on ${target}`) });
    expect(site.undone).toEqual([]);
    // Whose command counts again, the rollback goes on.
    engine.configuration.rules = [{ start: ['people'] }];
    await engine.sendVerb(target, 'dana', { run, command: 'retry', step: stuck?.step ?? '' });
    await engine.until(target, 'undone');
  });
});
