import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { boundSeconds } from '../../bench/drain/bound.ts';
import { verbAndResource } from '../../bench/drain/counting-proxy.ts';
import { reportOf } from '../../bench/drain/report.ts';
import { drainedNodes, fatesOf, podsMoved, scenarios, type BenchWorkload, type Scenario } from '../../bench/drain/scenarios.ts';
import type { Turn } from '../../bench/drain/turn.ts';
import { Ledger, type WitnessedBudget, type WitnessedPod } from '../../bench/drain/witness.ts';

const program = fileURLToPath(new URL('../../bench/drain.ts', import.meta.url));

test.each([
  ['GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1&limit=500', 'list pods'],
  ['GET', '/api/v1/namespaces/shop/pods/web-1', 'get pods'],
  ['GET', '/api/v1/pods?watch=true&resourceVersion=7', 'watch pods'],
  ['GET', '/api/v1/nodes/node-1', 'get nodes'],
  ['GET', '/api/v1/namespaces/shop', 'get namespaces'],
  ['PATCH', '/api/v1/nodes/node-1', 'patch nodes'],
  ['POST', '/api/v1/namespaces/shop/pods/web-1/eviction', 'create pods/eviction'],
  ['GET', '/apis/policy/v1/poddisruptionbudgets', 'list poddisruptionbudgets'],
  ['GET', '/apis/policy/v1/namespaces/shop/poddisruptionbudgets/web', 'get poddisruptionbudgets'],
  ['GET', '/apis/apps/v1', 'discovery'],
  ['GET', '/version', 'discovery'],
])('%s %s is counted as %s', (method, url, counted) => {
  expect(verbAndResource(method, url)).toBe(counted);
});

describe('scenarios', () => {
  test.each(scenarios.map((scenario) => [scenario.letter, scenario] as const))(
    '(%s) gives all contenders of a round the same',
    (_letter, scenario) => {
      expect(fatesOf(scenario, 1)).toEqual(fatesOf(scenario, 1));
      expect(fatesOf(scenario, 1)).not.toEqual(fatesOf(scenario, 2));
      const first = [...fatesOf(scenario, 1).values()].flatMap((fates) => fates.first);
      expect(first).toHaveLength(scenario.workloads.reduce((sum, { replicas }) => sum + replicas, 0));
      const perNode = drainedNodes(scenario).map((name) => first.filter(({ node }) => node === name).length);
      expect(perNode.reduce((sum, count) => sum + count)).toBe(podsMoved(scenario));
      expect(Math.max(...perNode) - Math.min(...perNode)).toBeLessThanOrEqual(1);
    },
  );

  test('the pods of (a) take 1 to 6 seconds to be Ready, 3 on average, and up to their grace period to end', () => {
    const [web] = fatesOf(scenarios[0] as Scenario, 0).values();
    expect(web?.readinessSeconds.toSorted((one, other) => one - other)).toEqual([1, 2, 2.5, 3, 3.5, 6]);
    const ends = web?.first.slice(0, 6).map(({ shutdownSeconds }) => shutdownSeconds);
    expect(ends?.sort((one, other) => one - other)).toEqual([2, 7, 12, 18, 24, 30]);
  });
});

describe('the bound of a turn', () => {
  const of = (workload: Partial<BenchWorkload>, ...shutdowns: number[]): number => {
    const web = { name: 'web', replicas: 8, onDrained: shutdowns.length, ...workload };
    const scenario = { letter: 'x', title: '', nodes: 2, drained: 1, workloads: [web], readinessSeconds: [2], shutdownSeconds: [1] };
    return boundSeconds(
      scenario,
      0,
      shutdowns.map((shutdownSeconds) => ({ app: 'web', shutdownSeconds })),
    );
  };

  test.each([
    ['without a budget all go at once', {}, [1, 5, 1], 5],
    ['one at a time, each when the one before is Ready elsewhere', { budget: { maxUnavailable: 1 } }, [5, 1, 4], 2 + 2 + 4],
    ['of 25 %, two at a time', { budget: { maxUnavailable: '25%' } }, [1, 1, 1, 1, 3], 2 + 2 + 3],
    ['of six that have to stay, two at a time', { budget: { minAvailable: 6 } }, [1, 1, 6, 1], 2 + 6],
    ['a budget that opens late', { budget: { maxUnavailable: 1 }, opensAfterSeconds: 7 }, [1, 1], 7 + 2 + 1],
    [
      'a StatefulSet waits for the end of each',
      { kind: 'StatefulSet' as const, budget: { maxUnavailable: 1 } },
      [3, 1, 1],
      3 + 2 + 1 + 2 + 1,
    ],
    ['nothing is evicted', { budget: { maxUnavailable: 1 } }, [], 0],
  ])('%s', (_title, workload, shutdowns, seconds) => {
    expect(of(workload, ...shutdowns)).toBe(seconds);
  });
});

function pod(name: string, node: string, differences: { ready?: boolean; going?: boolean; disrupted?: boolean } = {}): WitnessedPod {
  const { ready = true, going = false, disrupted = false } = differences;
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
  if (disrupted) conditions.push({ type: 'DisruptionTarget', status: 'True' });
  const deletionTimestamp = going ? '2026-01-01T00:00:00Z' : undefined;
  return { metadata: { name, uid: name, labels: { app: 'web' }, deletionTimestamp }, spec: { nodeName: node }, status: { conditions } };
}

function budget(disruptionsAllowed: number, disruptedPods: Record<string, string> = {}): WitnessedBudget {
  const spec = { selector: { matchLabels: { app: 'web' } } };
  return { metadata: { name: 'web' }, spec, status: { disruptionsAllowed, desiredHealthy: 2, disruptedPods } };
}

describe('the witness', () => {
  /** Three pods under a budget that demands two; one of them is on a node that is not drained. */
  function watching(): Ledger {
    const ledger = new Ledger(['node-0']);
    ledger.seeBudget('ADDED', budget(0), 0);
    ledger.seePod('ADDED', pod('first', 'node-0'), 0);
    ledger.seePod('ADDED', pod('second', 'node-0'), 0);
    ledger.seePod('ADDED', pod('other', 'node-9'), 0);
    return ledger;
  }

  test('takes the time from the request of a budget to the next eviction under it', () => {
    const ledger = watching();
    ledger.seeBudget('MODIFIED', budget(1), 100);
    ledger.seeBudget('MODIFIED', budget(0, { first: 'now' }), 104);
    ledger.seePod('MODIFIED', pod('first', 'node-0', { disrupted: true }), 107);
    ledger.seePod('MODIFIED', pod('first', 'node-0', { disrupted: true, going: true }), 108);
    ledger.seeBudget('MODIFIED', budget(1), 500);
    ledger.seePod('MODIFIED', pod('second', 'node-0', { going: true }), 520);
    expect(ledger.testimony.unblockToEvictionMs).toEqual([7, 20]);
  });

  test('takes no time where a budget closes again by itself, or where nobody waits on the nodes', () => {
    const ledger = watching();
    ledger.seeBudget('MODIFIED', budget(1), 100);
    ledger.seeBudget('MODIFIED', budget(0), 200);
    ledger.seePod('MODIFIED', pod('first', 'node-0', { going: true }), 300);
    ledger.seePod('DELETED', pod('second', 'node-0'), 400);
    ledger.seeBudget('MODIFIED', budget(1), 500);
    ledger.seePod('MODIFIED', pod('other', 'node-9', { going: true }), 600);
    expect(ledger.testimony.unblockToEvictionMs).toEqual([]);
  });

  test('counts the moments in which a budget has fewer healthy pods than it demands', () => {
    const ledger = watching();
    const { below } = ledger.testimony;
    ledger.seePod('MODIFIED', pod('first', 'node-0', { going: true }), 100);
    expect(ledger.testimony.below).toBe(below);
    ledger.seePod('MODIFIED', pod('second', 'node-0', { ready: false }), 200);
    expect(ledger.testimony.below).toBe(below + 1);
  });
});

test('the report gives medians over the rounds', () => {
  const turn = (contender: Turn['contender'], round: number, seconds: number, requests: number, unblocked: number[] = []): Turn => ({
    contender,
    round,
    seconds,
    pods: 10,
    requests: { 'list pods': requests - 1, 'watch pods': 1 },
    evicted: [],
    boundSeconds: 0,
    unblockToEvictionMs: unblocked,
    moments: 100,
    below: 0,
  });
  const turns = [0, 1, 2].flatMap((round) => [
    turn('kubectl', round, 100 + round, 80),
    turn('kubectl, one per node', round, 60, 90, [2_500]),
    turn('Holdpoint', round, [20, 90, 30][round] ?? 0, 30 + round, [10 * round, 40]),
  ]);
  expect(reportOf(scenarios[0] as Scenario, turns)).toEqual({
    scenario: 'a',
    kubectlSeconds: 101,
    kubectlParallelSeconds: 60,
    holdpointSeconds: 30,
    ratio: 0.3,
    ratioParallel: 0.5,
    requestsPerPodKubectl: 8,
    requestsPerPodHoldpoint: 3.1,
    unblockToEvictionMsP50: 20,
    unblockToEvictionMsP99: 40,
  });
});

test.each([
  ['--rounds', '0'],
  ['--scenario', 'z'],
])('%s %s makes no sense and is refused before anything starts', async (option, value) => {
  const command = ['--import', import.meta.resolve('tsx'), program, option, value];
  const { code, stdout, stderr } = await new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const child = execFile(process.execPath, command, (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }));
  });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain(`${option} must be`);
});
