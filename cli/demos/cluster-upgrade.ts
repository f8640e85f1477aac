import type { JsonObject } from '../../domain/json.ts';
import type { SandboxCluster } from '../environment.ts';
import { watchSandbox, type Demo } from './demo.ts';

const place = { region: 'eu-central-1', cluster: 'demo' };
const addons = ['vpc-cni', 'coredns', 'kube-proxy', 'aws-ebs-csi-driver', 'eks-pod-identity-agent'];
/** By the clock on the wall, which the sandbox runs ahead of. */
const bakes = { bake: '3s', recoverWithin: '2s' };
/** As the world `upgrade` of the sandbox names them. */
const upgradeNodegroups = ['general', 'batch', 'ingress'];
/** The last one is replaced by a new one; EKS updates the others. */
const inTheirWays: JsonObject[] = [{ nodegroup: 'general' }, { nodegroup: 'batch' }, { nodegroup: 'ingress', newNodegroup: 'ingress-2' }];
const firstAuthorityId = 'ca-of-2025';
const blockingInsight = 'Deprecated APIs removed in Kubernetes v1.33';
const waiverMs = 30 * 86_400_000;

/** Two hops of one run, in which the nodes skip the first; then a third one, whose bake finds a regression, and which is rolled back. */
export const clusterUpgrade: Demo<SandboxCluster> = {
  name: 'cluster-upgrade',
  acts: [
    {
      runbook: 'cluster-upgrades',
      inputs: () => {
        const until = `${new Date(Date.now() + waiverMs).toISOString().slice(0, 19)}Z`;
        const waive = [{ insight: blockingInsight, reason: 'old-operator is removed next week', until }];
        const hops: JsonObject[] = [
          { version: '1.33', waive },
          { version: '1.34', nodegroups: inTheirWays },
        ];
        return { ...place, ...bakes, addons, hops };
      },
    },
    {
      runbook: 'cluster-upgrade',
      inputs: () => ({ ...place, ...bakes, addons, version: '1.35' }),
      regression: {
        step: 'bake-control-plane',
        says: 'Now new pods of Deployment/shop/storefront do not become Ready any more.',
        cause: async ({ url }) => {
          const annotations = { 'sandbox.holdpoint.dev/readiness-seconds': '1000000' };
          const response = await fetch(`${url}/kubernetes/demo/apis/apps/v1/namespaces/shop/deployments/storefront`, {
            method: 'PATCH',
            headers: { 'content-type': 'application/merge-patch+json' },
            body: JSON.stringify({ spec: { template: { metadata: { annotations } } } }),
          });
          if (!response.ok) throw new Error(`the sandbox has refused the regression: ${await response.text()}`);
        },
      },
    },
  ],
  watch: watchSandbox,
  counts: () => ({ addons: addons.length, nodegroups: upgradeNodegroups.length }),
};

/** Every node group is rotated, so that all nodes trust the successor before it signs. */
export const authorityRotation: Demo<SandboxCluster> = {
  name: 'certificate-authority-rotation',
  acts: [
    {
      runbook: 'certificate-authority-rotation',
      inputs: () => {
        const rotations = upgradeNodegroups.map((nodegroup) => ({ nodegroup, newNodegroup: `${nodegroup}-2` }));
        return { ...place, bake: '3s', outgoing: firstAuthorityId, rotations, nodesAtOnce: 2 };
      },
    },
  ],
  watch: watchSandbox,
  counts: () => ({ nodegroups: upgradeNodegroups.length }),
};
