import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from '@jest/globals';
import { UpdateClusterVersionCommand } from '@aws-sdk/client-eks';
import type { JsonObject } from '../../../domain/json.ts';
import { failureOf, region, startCluster, worldWith, type TestCluster } from '../../support/cluster.ts';
import type { Exchange } from '../../support/proxy.ts';

const authority = 'ca-of-the-beginning';
const release = '1.33.4-20260801';
let demo: TestCluster | undefined;

/** Certificate authorities and rollbacks came to its model in 1.44. */
const probe = `
import botocore.session
model = botocore.session.get_session().get_service_model("eks")
model.operation_model("ActivateCertificateAuthority")
`;
const isThere = spawnSync('python3', ['-c', probe], { stdio: 'ignore' }).status === 0;
if (!isThere) {
  process.stderr.write(
    '\nNOT JUDGED: what EKS is asked and the sandbox answers, as there is no python3 with botocore 1.44 or later here.\n\n',
  );
}

afterEach(() => demo?.stop());

/** What every action of EKS asks and is answered, in one life of a cluster, with some refusals. */
async function lifeOfACluster(): Promise<Exchange[]> {
  const [cluster] = worldWith([], { nodes: 1 }).clusters;
  const addons = [{ name: 'vpc-cni', version: 'v1.19.0-eksbuild.1' }];
  const insight = {
    name: 'Kubelet version skew',
    category: 'UPGRADE_READINESS' as const,
    kubernetesVersion: '1.34',
    status: 'WARNING' as const,
    reason: 'Some are old.',
    description: 'Looks at kubelets',
    recommendation: 'Update them.',
    resources: ['/api/v1/nodes/a'],
    deprecations: [],
  };
  const started = (demo = await startCluster(
    { clusters: [{ ...cluster!, addons, insights: [insight], certificateAuthorityId: authority }] },
    { speed: 2_500 },
  ));
  const exchanges: Exchange[] = [];
  started.proxy.heard = (exchange) => {
    // The Kubernetes API and EC2 have models of their own.
    if (!exchange.path.startsWith('/kubernetes/') && exchange.path !== '/') exchanges.push(exchange);
  };
  const carryOut = async (action: string, input: JsonObject): Promise<void> => {
    await started.perform(action, await started.plan(action, input));
  };
  const waive = [{ finding: 'addon-version', reason: 'It is updated next.', until: '2099-01-01T00:00:00Z' }];
  await carryOut('eks.preflight', { toVersion: '1.34', waive, nodegroup: 'blue' });
  await carryOut('eks.refreshInsights', {});
  await carryOut('eks.updateAddon', { addon: 'vpc-cni', kubernetesVersion: '1.34', slot: 'before-control-plane' });
  await carryOut('eks.updateControlPlane', { version: '1.34' });
  await carryOut('eks.rollbackControlPlane', { version: '1.33' });
  await carryOut('eks.createNodegroup', { name: 'green', like: 'blue', releaseVersion: release });
  await carryOut('eks.updateNodegroupVersion', { nodegroup: 'blue', releaseVersion: release });
  await carryOut('eks.deleteNodegroup', { nodegroup: 'green' });
  await carryOut('eks.createCertificateAuthority', {});
  await carryOut('eks.activateCertificateAuthority', { olderNodes: 'accept' });
  await carryOut('eks.deleteCertificateAuthority', { certificateAuthority: authority });
  await failureOf(started.plan('eks.preflight', {}, { target: { ...started.target, name: 'nope' } }));
  const client = started.clients.eks(region);
  await client.send(new UpdateClusterVersionCommand({ name: 'demo', version: '1.40' })).catch(() => undefined);
  return exchanges;
}

/** A rollback in Auto Mode that its undo cancels, while the nodes go back. */
async function cancelledRollback(): Promise<Exchange[]> {
  const [cluster] = worldWith([], { nodes: 1 }).clusters;
  const autoMode = { ...cluster!, version: '1.34', upgradedMsAgo: 86_400_000, autoMode: true };
  const started = (demo = await startCluster({ clusters: [autoMode] }, { speed: 20 }));
  const exchanges: Exchange[] = [];
  started.proxy.heard = (exchange) => {
    if (/^\/clusters\/demo\/updates\/[^/]+\/cancel-update$/.test(exchange.path)) exchanges.push(exchange);
  };
  await started.act('eks.rollbackControlPlane', await started.plan('eks.rollbackControlPlane', { version: '1.33' }));
  const undo = await started.plan('eks.updateControlPlane', { version: '1.34', waitForUpdate: true });
  await started.perform('eks.updateControlPlane', undo);
  return exchanges;
}

/** The operations of EKS that anything in activities/ may ask for. */
function operationsOfActions(): string[] {
  const directory = fileURLToPath(new URL('../../../activities', import.meta.url));
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const found = files.flatMap((file) => {
    const imports = /import \{([^}]*)\} from '@aws-sdk\/client-eks'/.exec(readFileSync(join(directory, file), 'utf8'))?.[1] ?? '';
    return [...imports.matchAll(/(?<!type )\b(\w+)Command\b/g)].map(([, name = '']) => name);
  });
  return [...new Set(found)].sort();
}

(isThere ? test : test.skip)(
  'Every request of an action and every answer of the sandbox is as the model of EKS in botocore says.',
  async () => {
    const life = await lifeOfACluster();
    await demo?.stop();
    const exchanges = [...life, ...(await cancelledRollback())];
    const judge = fileURLToPath(new URL('botocore_judge.py', import.meta.url));
    const odd = { method: 'POST', path: '/clusters/demo/updates', body: '{"versoin":1}', status: 200, headers: {} };
    const input = JSON.stringify([...exchanges, { ...odd, answer: '{"update":{"status":"Done"}}' }]);
    const { stdout, stderr } = spawnSync('python3', [judge], { input, encoding: 'utf8' });
    if (stdout === '') throw new Error(stderr);
    const { wrong, operations } = JSON.parse(stdout) as { wrong: string[]; operations: string[] };
    expect(wrong).toEqual([
      expect.stringMatching(/^UpdateClusterVersion: answer\.update\.status is none of .*'Done'$/),
      'UpdateClusterVersion: the body has versoin, which is no member',
      'UpdateClusterVersion: the body lacks version',
    ]);
    expect(operationsOfActions().filter((name) => !operations.includes(name))).toEqual([]);
  },
);
