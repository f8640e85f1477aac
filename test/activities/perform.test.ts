import { afterEach, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { defineAction, emptyPlan, type AnyAction } from '../../activities/action.ts';
import { perform, type Performance } from '../../activities/perform.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { Observation, Progress } from '../../domain/action.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import { declareAction } from '../../runbooks/actions/declaration.ts';
import { deployment, eventually } from '../sandbox/kubernetes-fixture.ts';
import { failureOf, startCluster, worldWith, type TestCluster } from '../support/cluster.ts';

const stepsMax = 200;
const context = { run: 'r-1', step: 's', retry: 0, target: { kind: 'eks' as const, region: 'eu-central-1', name: 'demo' } };
const plan: ActionPlan = { ...emptyPlan({}), effects: [{ object: 'Lamp/1', change: 'switch on' }] };

function progressOf(summary: string): Progress {
  return { summary, done: 0, total: 1, unit: 'lamps', items: [] };
}

/** An action that sees the given states one after another; the last one stays. */
class Script {
  readonly journal: string[] = [];
  readonly action: AnyAction;
  private readonly states: Observation[];

  constructor(...states: Observation[]) {
    this.states = states;
    const input = z.strictObject({});
    this.action = defineAction({
      declaration: declareAction({
        name: 'lamp.on',
        summary: 'Switches a lamp on.',
        worksOn: ['lamp'],
        input,
        change: 'changes',
        limits: { timeoutMs: 1_000 },
        outputs: {},
      }),
      plan: async () => emptyPlan({}),
      observe: async (_plan, { acted, wait }) => {
        if (this.waitsInLook > 0) await wait(this.waitsInLook);
        if (this.journal.length > stepsMax) throw new Error('it goes on for ever');
        const seen = this.states.length > 1 ? this.states.shift() : this.states[0];
        this.journal.push(`${seen?.state ?? ''}${acted ? ' after acting' : ''}`);
        return seen ?? { state: 'todo' };
      },
      act: async () => {
        this.journal.push('act');
        const error = this.failing.shift();
        if (error) throw error;
      },
      undo: async () => ({ noUndo: 'It is only a lamp.' }),
    });
  }

  /** How long each look waits for something itself. */
  waitsInLook = 0;
  /** The next acts fail with these errors, one each. */
  failing: Error[] = [];

  run(options: { signal?: AbortSignal; waits?: number[]; onProgress?: () => void; signed?: ActionPlan } = {}): Promise<Performance> {
    return perform(this.action, options.signed ?? plan, context, {
      onProgress: options.onProgress ?? (() => undefined),
      signal: options.signal ?? new AbortController().signal,
      wait: async (ms) => void options.waits?.push(ms),
    });
  }
}

const done: Observation = { state: 'done', outputs: { lamp: 'on' }, progress: progressOf('1 of 1 lamps on') };

describe('errors', () => {
  const busy = (): HoldpointError => new HoldpointError('aws-busy', { call: 'X', target: 'T', cause: 'throttled' });

  test('that may pass by themselves are counted and followed by another look, for which nothing has been done yet.', async () => {
    const script = new Script({ state: 'todo' }, { state: 'todo' }, done);
    script.failing = [busy()];
    expect(await script.run()).toMatchObject({ acts: 2, passed: { 'aws-busy': 1 } });
    expect(script.journal).toEqual(['todo', 'act', 'todo', 'act', 'done after acting']);
  });

  test('that do not pass end the attempt after ten in a row.', async () => {
    const script = new Script({ state: 'todo' });
    script.failing = Array.from({ length: 20 }, busy);
    expect(await failureOf(script.run())).toMatchObject({ code: 'aws-busy' });
    expect(script.journal.filter((entry) => entry === 'act')).toHaveLength(11);
  });

  test('of looks, too, are followed by longer and longer waits.', async () => {
    const script = new Script({ state: 'todo' }, done);
    const waits: number[] = [];
    script.action.observe = async () => Promise.reject(busy());
    expect(await failureOf(script.run({ waits }))).toMatchObject({ code: 'aws-busy' });
    expect(waits).toHaveLength(10);
    expect(waits).toEqual([...waits].sort((one, other) => one - other));
    expect(waits.at(-1)).toBeGreaterThan((waits[0] ?? 0) * 5);
  });

  test('that a person must look at end the attempt at once.', async () => {
    const script = new Script({ state: 'todo' });
    script.failing = [new HoldpointError('aws-refused', { call: 'X', target: 'T', cause: 'no' })];
    expect(await failureOf(script.run())).toMatchObject({ code: 'aws-refused' });
    expect(script.journal).toEqual(['todo', 'act']);
  });

  test('An act that never takes effect is given up after fifty pushes, with what was seen.', async () => {
    const script = new Script({ state: 'todo', progress: progressOf('0 of 1 lamps on') });
    expect(await failureOf(script.run())).toMatchObject({
      code: 'action-stuck',
      message: 'lamp.on has acted 50 times without any effect to be seen: 0 of 1 lamps on.',
    });
  });
});

describe('the loop', () => {
  test('looks, acts, and looks again until it is done.', async () => {
    const script = new Script({ state: 'todo' }, { state: 'moving', progress: progressOf('warming up') }, done);
    expect(await script.run()).toEqual({ outputs: { lamp: 'on' }, before: 'todo', acts: 1, passed: {}, summary: '1 of 1 lamps on' });
    expect(script.journal).toEqual(['todo', 'act', 'moving after acting', 'done after acting']);
  });

  test('does nothing where it is done already.', async () => {
    const script = new Script(done);
    expect(await script.run()).toMatchObject({ before: 'done', acts: 0 });
    expect(script.journal).toEqual(['done']);
  });

  test('acts again where something is left to do.', async () => {
    const script = new Script({ state: 'todo' }, { state: 'todo' }, done);
    expect(await script.run()).toMatchObject({ acts: 2 });
  });

  test('ends with reason and remedy where it is stuck, without acting.', async () => {
    const script = new Script({ state: 'stuck', reason: 'The fuse is out.', remedy: 'Put it in.' });
    expect(await failureOf(script.run())).toEqual({ code: 'action-stuck', message: 'The fuse is out.', remedy: 'Put it in.' });
    expect(script.journal).toEqual(['stuck']);
  });

  test('ends with a code of its own where somebody else has begun the same change, which an operator can have it adopt.', async () => {
    const script = new Script({ state: 'stuck', reason: 'Somebody else is switching it on.', remedy: 'Adopt that.', adoptable: true });
    expect(await failureOf(script.run())).toEqual({
      code: 'change-in-flight',
      message: 'Somebody else is switching it on.',
      remedy: 'Adopt that.',
    });
    expect(script.journal).toEqual(['stuck']);
  });

  test('does not do what nobody has signed: an empty plan acts on nothing.', async () => {
    const script = new Script({ state: 'todo', progress: progressOf('0 of 1 lamps on') });
    expect(await failureOf(script.run({ signed: emptyPlan({}) }))).toEqual({
      code: 'plan-does-not-cover',
      message: 'The signed plan of lamp.on says there is nothing to change, but the world has changed since: 0 of 1 lamps on.',
      remedy: 'Abort the run, plan again and have the new plan signed.',
    });
    expect(script.journal).toEqual(['todo']);
  });

  test('looks ever less often at what stands still, within a bound, and soon again at what moves.', async () => {
    const still = { state: 'moving' as const, progress: progressOf('1 of 3') };
    const moved = { state: 'moving' as const, progress: progressOf('2 of 3') };
    const waits: number[] = [];
    await new Script(...Array.from({ length: 9 }, () => still), moved, done).run({ waits });
    expect(waits).toEqual([200, 300, 450, 675, 1012.5, 1518.75, 2000, 2000, 2000, 200]);
  });
});

describe('the pace', () => {
  const still = { state: 'moving' as const, progress: progressOf('1 of 3') };
  const pace = { lookMinMs: 4, lookMaxMs: 10 };

  test('is that of the action where it has one, also for what the action itself waits for.', async () => {
    const script = new Script(...Array.from({ length: 4 }, () => still), done);
    script.action.declaration.limits.pace = pace;
    script.waitsInLook = 1_000;
    const waits: number[] = [];
    await script.run({ waits });
    expect(waits).toEqual([10, 4, 10, 6, 10, 9, 10, 10, 10]);
  });
});

describe('when it is aborted', () => {
  const reason = new Error('paused');

  test('before it begins, it does not even look.', async () => {
    const script = new Script({ state: 'todo' });
    await expect(script.run({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(script.journal).toEqual([]);
  });

  test('between the look and the act, it does not act.', async () => {
    const stop = new AbortController();
    const script = new Script({ state: 'todo' });
    await expect(script.run({ signal: stop.signal, onProgress: () => stop.abort(reason) })).rejects.toBe(reason);
    expect(script.journal).toEqual(['todo']);
  });
});

describe('over the wire', () => {
  let demo: TestCluster | undefined;

  afterEach(() => demo?.stop());

  test('An aborted drain finishes the unit in hand and begins nothing new; performed again, it goes on.', async () => {
    demo = await startCluster(worldWith([deployment('web', 9)]));
    const cluster = demo;
    const nodes = (await demo.nodeNames()).slice(0, 2);
    const drain = await demo.plan('kubernetes.drain', { nodes, nodesAtOnce: 1 });
    const stop = new AbortController();
    cluster.proxy.treat = ({ path }) => {
      if (path.endsWith('/eviction')) stop.abort(new Error('paused'));
      return 'pass';
    };
    await expect(cluster.perform('kubernetes.drain', drain, { signal: stop.signal })).rejects.toThrow('paused');
    const evicted = cluster.report().counters.evictionsGranted;
    expect(evicted).toBe(3);
    expect(cluster.cluster.podsOn(nodes[1] ?? '')).toHaveLength(3);
    const requests = cluster.proxy.requests.length;
    await eventually('the first node to be empty', () => (cluster.cluster.podsOn(nodes[0] ?? '').length === 0 ? true : undefined));
    expect(cluster.proxy.requests).toHaveLength(requests);
    cluster.proxy.treat = () => 'pass';
    expect(await cluster.perform('kubernetes.drain', drain)).toMatchObject({ summary: '6 of 6 pods gone' });
    expect(cluster.report().counters.evictionsGranted).toBe(6);
  });
});
