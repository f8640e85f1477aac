import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { contextOfLook } from '../../activities/action.ts';
import { drainAction } from '../../activities/kubernetes/drain/drain.ts';
import { onlyKubernetes } from '../../activities/kubernetes/only-kubernetes.ts';
import { connectByKubeconfig } from '../../activities/kubernetes/client/kubeconfig.ts';
import { deletionAsks, drainAsks, mayI, rolloutAsks, volumeAsks } from '../../activities/kubernetes/client/permissions.ts';
import { perform } from '../../activities/perform.ts';
import { kubeconfigOf, readKubeconfig, requester, type KubernetesRequest } from '../../lab/kubernetes-access.ts';
import { createAll, nodeManifests, untilSettled, workloadManifests } from '../../lab/workloads.ts';
import { send, type Door } from './raw.ts';
import { labKubeconfig, realWorld } from './real-world.ts';
import { inPool, leaveNothing, type PodSeen } from './world.ts';

const namespace = 'rights';
const pool = { pool: namespace };
const [full, ...spare] = nodeManifests({ count: 3, prefix: namespace, labels: pool });
const names = [full, ...spare].map((node) => node?.metadata.name ?? '');
const group = '/apis/rbac.authorization.k8s.io/v1';

let door: Door;
let request: KubernetesRequest;
let directory: string;

beforeAll(async () => {
  ({ door } = await realWorld());
  request = requester(await readKubeconfig(labKubeconfig()));
  directory = await mkdtemp(join(tmpdir(), 'holdpoint-rights-'));
  const space = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } };
  const web = workloadManifests({ name: 'web', namespace, replicas: 3, budget: { maxUnavailable: 1 }, readinessSeconds: 0.2 });
  await createAll(request, [...(full ? [full] : []), space, ...inPool(web, pool)]);
  await untilSettled(request, { namespace });
  await createAll(request, spare);
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
  for (const kind of ['clusterroles', 'clusterrolebindings']) await send(door, 'DELETE', `${group}/${kind}/holdpoint`);
  await leaveNothing(door, namespace, names);
});

/** Gives an account the rights of docs/running-holdpoint.md, and nothing else. Returns a kubeconfig of it. */
async function rightsOfPage(): Promise<string> {
  const page = await readFile('docs/running-holdpoint.md', 'utf8');
  const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => parse(text) as { kind: string });
  const role = blocks.find(({ kind }) => kind === 'ClusterRole');
  const account = { kind: 'ServiceAccount', name: 'holdpoint', namespace };
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'holdpoint' };
  const answers = [
    await request('POST', `${group}/clusterroles`, role),
    await request('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: account.name } }),
    await request('POST', `${group}/clusterrolebindings`, { metadata: { name: 'holdpoint' }, subjects: [account], roleRef }),
    await request('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${account.name}/token`, { spec: {} }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
  const { token } = answers[3]?.body?.status as { token: string };
  const file = join(directory, 'kubeconfig');
  const admin = await readKubeconfig(labKubeconfig());
  await writeFile(file, kubeconfigOf({ ...admin, token }), { mode: 0o600 });
  return file;
}

test('the rights that the page names are enough for a drain, and for all that a plan asks about', async () => {
  const { apis, cluster } = connectByKubeconfig({ kubeconfig: await rightsOfPage(), env: {} });
  expect(await mayI(apis, cluster, [...drainAsks, ...volumeAsks, ...rolloutAsks, ...deletionAsks])).toEqual([]);
  const action = drainAction(onlyKubernetes(apis));
  const context = contextOfLook({ run: 'r-rights', step: 's', target: { kind: 'eks' as const, region: '', name: cluster }, retry: 0 });
  const plan = await action.plan({ nodes: names.slice(0, 1) }, context);
  expect(plan.blockers).toEqual([]);
  await perform(action, plan, context, {
    onProgress: () => undefined,
    signal: AbortSignal.timeout(60_000),
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  });
  const { body } = await send(door, 'GET', `/api/v1/namespaces/${namespace}/pods`);
  expect((body.items as PodSeen[]).filter(({ spec }) => spec.nodeName === names[0])).toEqual([]);
  // What the page does not name is not allowed: the account has no other rights.
  expect(await mayI(apis, cluster, [{ verb: 'delete', group: '', resource: 'nodes' }])).toHaveLength(1);
});
