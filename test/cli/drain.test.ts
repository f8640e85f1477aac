import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { PatchStrategy, setHeaderOptions, type V1Node } from '@kubernetes/client-node';
import { cordonAnnotation } from '../../activities/kubernetes/cordon/owner-annotation.ts';
import { kubectlPlugin } from '../../cli/program.ts';
import { verifyEvidence } from '../../client/evidence.ts';
import type { Manifest } from '../../sandbox/seed.ts';
import { budget, deployment, eventually } from '../sandbox/kubernetes-fixture.ts';
import { startCluster, worldWith, type TestCluster } from '../support/cluster.ts';
import type { Treatment } from '../support/proxy.ts';
import { runCommandWith } from '../support/run-command.ts';

const asMerge = setHeaderOptions('Content-Type', PatchStrategy.MergePatch);
const excludedLabel = 'node.kubernetes.io/exclude-from-external-load-balancers';

let demo: TestCluster;
let names: string[];
let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'holdpoint-home-'));
});

afterEach(async () => {
  await demo.stop();
  await rm(home, { recursive: true, force: true });
});

async function start(manifests: Manifest[] = [deployment('web', 8), budget('web', { maxUnavailable: 1 })], speed = 200): Promise<void> {
  demo = await startCluster(worldWith(manifests, { nodes: 4 }), { speed });
  names = await demo.nodeNames();
  await eventually('the pods to be placed', async () => ((await demo.pods()).every(({ spec }) => spec?.nodeName) ? true : undefined));
  const config = {
    clusters: [{ name: 'demo', cluster: { server: `${demo.proxy.url}/kubernetes/demo` } }],
    users: [{ name: 'me', user: {} }],
    contexts: [{ name: 'demo', context: { cluster: 'demo', user: 'me' } }],
    'current-context': 'demo',
  };
  await writeFile(join(home, 'kubeconfig'), JSON.stringify(config));
}

interface Called {
  code: number;
  out: string;
  err: string;
}

/** Calls the command line as a script does, with nobody at the keyboard. */
async function call(
  argv: string[],
  { signal = new AbortController().signal, program = undefined as typeof kubectlPlugin | undefined } = {},
): Promise<Called> {
  const env = { HOME: home, KUBECONFIG: join(home, 'kubeconfig') };
  const { code, stdout: out, stderr: err } = await runCommandWith({ env, stdin: Readable.from([]), signal, program }, ...argv);
  return { code, out, err };
}

/** The JSON that a command has written last. */
const answerOf = ({ out }: Called): Record<string, unknown> =>
  JSON.parse(out.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
const records = (): Promise<string[]> => readdir(join(home, '.local/state/holdpoint')).catch(() => []);
const isCordoned = ({ spec }: V1Node): boolean => spec?.unschedulable === true;
const changes = (): string[] => demo.proxy.requests.filter((request) => !/^(GET|WATCH) |selfsubjectaccessreviews$/.test(request));
const podsOn = async (nodes: readonly string[]): Promise<number> =>
  (await demo.pods()).filter(({ spec }) => nodes.includes(spec?.nodeName ?? '')).length;
const evictions = (): number => demo.proxy.requests.filter((request) => request.endsWith('/eviction')).length;
const node = async (name: string): Promise<V1Node> => demo.others.core.readNode({ name });
async function cordoned(): Promise<string[]> {
  return (await demo.nodes()).filter(isCordoned).map(({ metadata }) => metadata?.name ?? '');
}

describe('draining by hand', () => {
  test('moves the pods within their budgets, leaves the nodes cordoned, and writes a record that verifies.', async () => {
    await start();
    const drained = names.slice(0, 2);
    const told = await call(['drain', ...drained, '--yes']);
    expect(told).toMatchObject({ code: 0, err: '' });
    expect(told.out).toMatch(/Drained 2 nodes, \d+ pods, in \d+ s\.\n2 nodes are cordoned\. To put back: holdpoint uncordon /);
    expect(await podsOn(drained)).toBe(0);
    expect((await cordoned()).sort()).toEqual([...drained].sort());
    expect(demo.report().violations).toEqual([]);
    const [record = ''] = await records();
    expect(await verifyEvidence(join(home, '.local/state/holdpoint', record))).toMatchObject({ ok: true, entries: 2, ending: 'ended' });
  });

  test('uncordons them again where that is asked for, and takes off all that it has left.', async () => {
    await start();
    const before = (await node(names[0] ?? '')).metadata;
    const told = await call(['drain', names[0] ?? '', '--yes', '--uncordon', '--json']);
    expect(answerOf(told)).toMatchObject({ outcome: 'done', uncordoned: [names[0]], cordoned: [] });
    expect(await cordoned()).toEqual([]);
    const after = (await node(names[0] ?? '')).metadata;
    expect([after?.labels, after?.annotations ?? {}]).toEqual([before?.labels, before?.annotations ?? {}]);
  });

  test('touches nothing before somebody has agreed, where the plan is blocked, or where only the plan is asked for.', async () => {
    await start([deployment('web', 8), budget('web', { minAvailable: 8 }), deployment('free', 4)]);
    const [first = ''] = names;
    expect(await call(['drain', first, '--yes'])).toMatchObject({ code: 1, out: expect.stringContaining('It is blocked: 1 blocker.') });
    expect((await call(['drain', first, '--plan'])).code).toBe(1);
    await demo.others.policy.deleteNamespacedPodDisruptionBudget({ namespace: 'shop', name: 'web' });
    expect(await call(['drain', first])).toMatchObject({ code: 2, err: expect.stringContaining('Give --yes to begin') });
    for (const only of ['--plan', '--dry-run', '--dry-run=server']) expect((await call(['drain', first, only])).code).toBe(0);
    await writeFile(join(home, 'taken.jsonl'), '');
    const taken = await call(['drain', first, '--yes', '--record', join(home, 'taken.jsonl')]);
    expect(taken).toMatchObject({ code: 1, err: expect.stringContaining('Name another one with --record.') });
    expect(changes()).toEqual([]);
  });

  test.each([
    [['drain'], 'Which nodes?'],
    [['drain', 'node', '-l', 'pool=general'], 'in more than one way'],
    [['drain', '-l', 'pool=nowhere', '--plan'], 'No node of the cluster demo has the labels pool=nowhere.'],
    [['drain', 'node', '--disable-eviction'], '--pod-deadline 30m --on-deadline delete'],
    [['drain', '--dry-run', 'perhaps', 'node/other'], 'has no node perhaps, other'],
    [['drain', 'node', '--pod-selector', 'app=web'], 'cluster.x-k8s.io/drain=skip'],
    [['drain', 'node', '--skip-wait-for-delete-timeout', '60'], '--pod-deadline 30m --on-deadline delete'],
    [['drain', 'node', '--timeout', 'soon', '--plan'], '--timeout must be a duration such as 90s, 15m or 4h'],
  ])('%j is refused', async (argv, why) => {
    await start();
    const told = await call(argv);
    expect(told.err).toContain(why);
    expect([1, 2]).toContain(told.code);
  });

  test('chooses nodes by their labels or their node group.', async () => {
    await start();
    const nodesOf = async (argv: string[]): Promise<unknown> =>
      (answerOf(await call([...argv, '--json'])).plan as { details: { nodes: string[] } }).details.nodes;
    expect(await nodesOf(['drain', '--plan', '-l', 'pool=general'])).toEqual([...names].sort());
    expect(await nodesOf(['drain', '--dry-run', '--nodegroup', 'blue'])).toEqual([...names].sort());
    expect(answerOf(await call(['plan', names[1] ?? '', '--json'], { program: kubectlPlugin }))).toMatchObject({ blocked: false });
  });

  test('stops on Ctrl-C, says what is left, and goes on with the same command; no pod is evicted twice.', async () => {
    await start(undefined, 20);
    const drained = names.slice(0, 3);
    const pods = await podsOn(drained);
    const interrupted = new AbortController();
    demo.proxy.treat = ({ path }) => {
      if (path.endsWith('/eviction')) interrupted.abort();
      return 'pass';
    };
    const stopped = answerOf(await call(['drain', ...drained, '--yes', '--nodes-at-once', '3', '--json'], { signal: interrupted.signal }));
    expect(stopped).toMatchObject({
      outcome: 'interrupted',
      left: expect.arrayContaining([expect.objectContaining({ state: expect.any(String) })]),
    });
    expect((await cordoned()).sort()).toEqual([...drained].sort());
    demo.proxy.treat = () => 'pass';
    const again = await call(['drain', ...drained, '--yes', '--nodes-at-once', '3', '--uncordon']);
    expect(again).toMatchObject({ code: 0, out: expect.stringContaining('Uncordoned: ') });
    expect([await podsOn(drained), await cordoned(), evictions()]).toEqual([0, [], pods]);
    expect(demo.report().violations).toEqual([]);
  });

  test('is stuck after --timeout, names what keeps it, and leaves with exit code 4.', async () => {
    await start([deployment('web', 8), budget('web', { maxUnavailable: 1 })], 1);
    const stuck = await call(['drain', ...names.slice(0, 2), '--yes', '--nodes-at-once', '2', '--timeout', '1s']);
    expect(stuck.code).toBe(4);
    expect(stuck.out).toMatch(/Stuck after \d+ s: .* pods gone/);
    expect(stuck.out).toContain('PDB shop/web needs 7 healthy pods');
    expect(stuck.out).toContain('Run the same command again to go on');
  });

  test('of the same nodes by two people at once ends for both, within the budgets.', async () => {
    await start(undefined, 50);
    const drained = names.slice(0, 2);
    const both = [1, 2].map(() => call(['drain', ...drained, '--yes', '--nodes-at-once', '2', '--json']));
    expect((await Promise.all(both)).map(answerOf)).toEqual([
      expect.objectContaining({ outcome: 'done' }),
      expect.objectContaining({ outcome: 'done' }),
    ]);
    expect([await podsOn(drained), (await cordoned()).length]).toEqual([0, 2]);
    // A pod that both ask for at the same instant is asked for twice, and goes once.
    expect(demo.report().violations.filter(({ kind }) => kind !== 'evicted-twice')).toEqual([]);
  });
});

/** The mark of a drain of this person from this machine, by a process of that number. */
function markOf(pid: number): string {
  const clean = (text: string): string => text.replace(/[^A-Za-z0-9._]+/g, '_').slice(0, 40);
  return `drain-${clean(userInfo().username)}-${clean(hostname())}-20261128T0300-p${pid}-abcdef`;
}

describe('a drain beside others', () => {
  const cordonedBy = async (mark: string): Promise<void> => {
    const body = { metadata: { annotations: { [cordonAnnotation]: mark } }, spec: { unschedulable: true } };
    await demo.others.core.patchNode({ name: names[0] ?? '', body, fieldManager: 'holdpoint' }, asMerge);
  };

  test('leaves the cordon of another one of the same person that is at work, and lifts that of one that was killed.', async () => {
    await start();
    const [first = ''] = names;
    await cordonedBy(markOf(process.ppid));
    const told = await call(['drain', first, '--yes', '--uncordon']);
    expect(told.code).toBe(0);
    expect(told.out).toContain(`${first} is cordoned, as others have cordoned before, or drain it, too.`);
    expect((await call(['uncordon', first])).out).toContain('If that is still at work, it cordons the node again');
    const { pid } = spawnSync(process.execPath, ['--version']);
    await cordonedBy(markOf(pid));
    expect(answerOf(await call(['drain', first, '--yes', '--uncordon', '--json']))).toMatchObject({ uncordoned: [first], cordoned: [] });
    expect(await cordoned()).toEqual([]);
  });

  test('says that a node is not cordoned any more where somebody has uncordoned it.', async () => {
    await start();
    const [first = ''] = names;
    demo.proxy.treat = async ({ method, path }): Promise<Treatment> => {
      // The drain itself lists what it drains once more before it ends, and cordons what is not cordoned; this is the look after that.
      const isLastLook = method === 'GET' && path.includes(`/api/v1/nodes/${first}`);
      if (isLastLook && (await cordoned()).includes(first) && (await podsOn([first])) === 0) {
        demo.proxy.treat = () => 'pass';
        await demo.others.core.patchNode({ name: first, body: { spec: { unschedulable: null } } }, asMerge);
      }
      return 'pass';
    };
    const told = await call(['drain', first, '--yes']);
    expect(told.code).toBe(0);
    expect(told.out).toContain(`Not cordoned any more: ${first}.`);
  });

  test('takes names and times as kubectl writes them.', async () => {
    await start();
    const { plan } = answerOf(await call(['drain', `node/${names[0] ?? ''}`, '--timeout', '1m30s', '--plan', '--json'])) as {
      plan: { facts: { settings: object } };
    };
    expect(plan.facts.settings).toMatchObject({ nodeDeadlineMs: 90_000 });
  });
});

describe('uncordoning by hand', () => {
  test('takes off what a drain has left, and cordons of others; that of a run stays unless forced.', async () => {
    await start();
    const [byDrain = '', byOther = '', byRun = '', free = ''] = names;
    await call(['drain', byDrain, '--yes']);
    await demo.others.core.patchNode({ name: byOther, body: { spec: { unschedulable: true } } }, asMerge);
    const run = { metadata: { annotations: { [cordonAnnotation]: 'r-20261128-abcdef' } }, spec: { unschedulable: true } };
    await demo.others.core.patchNode({ name: byRun, body: run, fieldManager: 'holdpoint' }, asMerge);
    const told = await call(['uncordon', ...names]);
    expect(told).toMatchObject({ code: 1, err: '' });
    expect(told.out.trimEnd().split('\n')).toEqual([
      `${byDrain} uncordoned`,
      `${byOther} uncordoned`,
      expect.stringContaining(`${byRun} stays cordoned by run r-20261128-abcdef`),
      `${free} already uncordoned`,
    ]);
    expect(await cordoned()).toEqual([byRun]);
    expect((await node(byDrain)).metadata?.labels).not.toHaveProperty(excludedLabel);
    expect((await call(['uncordon', byRun, '--force'])).code).toBe(0);
    expect(await cordoned()).toEqual([]);
    expect((await call(['uncordon', 'nowhere'])).err).toContain('has no node nowhere');
  });
});

describe('who blocks', () => {
  test('names the budget, the pods and what to do; nothing where nothing does.', async () => {
    await start([deployment('web', 4), budget('web', { minAvailable: 4 })]);
    const told = await call(['who-blocks', ...names.slice(0, 2)]);
    expect(told).toMatchObject({ code: 1, err: '' });
    expect(told.out).toContain('✗ PodDisruptionBudget/shop/web: It allows 0 disruptions: 4 of 4 pods must stay healthy.');
    const reason = 'PDB shop/web needs 4 healthy pods and has 4, and allows 0 disruptions until its owner changes that';
    expect(told.out).toMatch(new RegExp(`! Deployment shop/web: ${reason}\\n {6}shop/web-\\S+ on `));
    await demo.others.policy.deleteNamespacedPodDisruptionBudget({ namespace: 'shop', name: 'web' });
    expect(await call(['who-blocks', names[0] ?? ''])).toMatchObject({
      code: 0,
      out: expect.stringContaining('Nothing stands in the way'),
    });
    expect(changes()).toEqual([]);
  });
});
