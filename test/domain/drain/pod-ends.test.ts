import { describe, expect, test } from '@jest/globals';
import { PodEnds, workloadEndsIn, type PodEnding } from '../../../domain/drain/pod-ends.ts';
import type { PodView } from '../../../domain/drain/pod.ts';
import type { Json } from '../../../domain/json.ts';
import { podEndsIn, withPastEnds } from '../../../domain/plan/past.ts';
import { shellKeepsSignals } from '../../../domain/preflight/shell.ts';
import { podOf } from './drain-objects.ts';

const askedAtMs = 1_000_000;
const ending = (more: Partial<PodEnding> = {}): PodView => podOf({ terminating: true, ending: { askedAtMs, graceMs: 30_000, ...more } });

/** What is counted of one pod that is seen in these states, and is gone then. */
function endsOf(...states: PodView[]): object | undefined {
  const ends = new PodEnds();
  let before: PodView | undefined = podOf();
  for (const state of states) {
    ends.see(before, state, askedAtMs);
    before = state;
  }
  ends.see(before, undefined, askedAtMs + 12_000);
  return ends.summary()[0];
}

describe('how a pod ends', () => {
  test.each<[string, Partial<PodEnding>, object]>([
    ['by itself', { endedAtMs: askedAtMs + 3_000, exitCode: 0 }, { killed: 0, exitCodes: { 0: 1 }, longestSeconds: 3 }],
    ['by SIGTERM', { endedAtMs: askedAtMs + 3_000, exitCode: 143 }, { killed: 0, exitCodes: { 143: 1 }, longestSeconds: 3 }],
    [
      'killed at the end of its grace',
      { endedAtMs: askedAtMs + 30_000, exitCode: 137 },
      { killed: 1, exitCodes: { 137: 1 }, longestSeconds: 30 },
    ],
    ['killed before that, by somebody else', { endedAtMs: askedAtMs + 5_000, exitCode: 137 }, { killed: 0, longestSeconds: 5 }],
    ['without a word of its kubelet', {}, { killed: 0, exitCodes: {}, longestSeconds: 12 }],
  ])('%s is counted for its workload.', (_title, how, expected) => {
    expect(endsOf(ending(), ending(how))).toMatchObject({ workload: 'Deployment shop/web', pods: 1, graceSeconds: 30, ...expected });
  });

  test('A second deletion with less time does not make it begin later.', () => {
    const shorter = ending({ askedAtMs: askedAtMs + 10_000, graceMs: 5_000, endedAtMs: askedAtMs + 15_000, exitCode: 137 });
    expect(endsOf(ending(), shorter)).toMatchObject({ killed: 1, longestSeconds: 15, graceSeconds: 15 });
  });

  test('A pod that is gone without having been asked to is none; another pod of the same name is another one.', () => {
    expect(endsOf()).toBeUndefined();
    const ends = new PodEnds();
    expect(ends.see(podOf(), ending(), 0)).toBe(false);
    expect(ends.see(ending(), podOf({ uid: 'another' }), 0)).toBe(true);
  });

  test('What is kept goes on in another session, and what is none of it is passed over.', () => {
    const first = new PodEnds();
    first.see(podOf(), ending(), 0);
    first.see(ending(), undefined, askedAtMs);
    const second = new PodEnds(JSON.parse(JSON.stringify(first.summary())) as Json);
    second.see(podOf(), ending(), 0);
    second.see(ending(), undefined, askedAtMs);
    expect(second.summary()).toMatchObject([{ pods: 2 }]);
    const others: Json[] = [null, 'x', [null, { workload: 'w' }], [{ workload: 1, pods: 1 }]];
    expect(others.map((kept) => workloadEndsIn(kept))).toEqual([[], [], [], []]);
  });
});

test('The next plan of a drain says of which workloads pods were killed before, and of no others.', () => {
  const podEnds = (workload: string, killed: number): object => ({
    workload,
    pods: 2,
    killed,
    exitCodes: {},
    longestSeconds: 30,
    graceSeconds: 30,
  });
  const entry = (ends: object[]) => ({ kind: 'step.done' as const, body: { outputs: { podEnds: ends } } as never });
  const ends = podEndsIn([
    entry([podEnds('Deployment shop/web', 2), podEnds('Deployment shop/well', 0)]),
    entry([podEnds('Deployment shop/web', 2)]),
  ]);
  const effects = ['web', 'well'].map((name) => ({ object: `Deployment shop/${name}`, change: 'evict' }));
  const plan = { effects, facts: {}, risks: [], blockers: [], notes: ['first'], details: {}, outputs: {}, estimateMs: 0 };
  expect(withPastEnds(plan, 'kubernetes.drain', ends).notes).toEqual([
    'first',
    expect.stringMatching(/^Deployment shop\/web: its pods were killed after 30 s in 4 of 4 moves before/),
  ]);
  expect(withPastEnds(plan, 'kubernetes.cordon', ends)).toBe(plan);
  expect(withPastEnds({ ...plan, effects: [] }, 'kubernetes.drain', ends).notes).toEqual(['first']);
});

test.each([
  [['sh', '-c', 'cd /srv; java -jar pay.jar'], 'does'],
  [['/bin/sh', '-c', 'java -jar pay.jar'], 'may'],
  [['/usr/bin/env', 'bash', '-lc', 'java -jar pay.jar'], 'may'],
  [['env', 'A=b', 'sh', '-c', 'a && b'], 'does'],
  [['sh', '-c', 'exec java -jar pay.jar'], undefined],
  [['sh', '-c', 'migrate && exec java -jar pay.jar'], undefined],
  [['sh', '-c', 'trap stop TERM; java -jar pay.jar & wait'], undefined],
  [['tini', '--', 'sh', '-c', 'java -jar pay.jar'], undefined],
  [['/usr/bin/dumb-init', 'sh', '-c', 'a; b'], undefined],
  [['java', '-jar', 'pay.jar'], undefined],
  [['sh', 'run.sh'], undefined],
  [[], undefined],
])('%j: a shell that is the main process keeps SIGTERM: %s.', (command, expected) => expect(shellKeepsSignals(command)).toBe(expected));
