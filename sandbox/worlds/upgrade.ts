import type { NodegroupSeed, WorldSeed } from '../seed.ts';
import { demoClusterName, demoRegion, demoWorld } from './demo.ts';

/** The certificate authority that the cluster begins with. */
const firstAuthorityId = 'ca-of-2025';
/** What EKS finds against the first hop, and people may go past. */
const blockingInsight = 'Deprecated APIs removed in Kubernetes v1.33';
const nodegroups = ['general', 'batch', 'ingress'];

const version = '1.32';

function nodegroup(name: string): NodegroupSeed {
  return {
    name,
    size: 2,
    minSize: 1,
    maxSize: 6,
    instanceType: 'm6i.xlarge',
    amiType: 'AL2023_x86_64_STANDARD',
    version,
    releaseVersion: '1.32.8-20260415',
    zones: ['eu-central-1a', 'eu-central-1b', 'eu-central-1c'],
    labels: { pool: name },
  };
}

/** What a cluster upgrade is shown on: three node groups, five add-ons, a finding of EKS that blocks, and the pods of the first world. */
export const upgradeWorld: WorldSeed = {
  clusters: [
    {
      name: demoClusterName,
      region: demoRegion,
      version,
      certificateAuthorityId: firstAuthorityId,
      nodegroups: nodegroups.map(nodegroup),
      addons: [
        { name: 'vpc-cni', version: 'v1.19.0-eksbuild.1' },
        { name: 'coredns', version: 'v1.11.4-eksbuild.2' },
        { name: 'kube-proxy', version: 'v1.32.3-eksbuild.2' },
        { name: 'aws-ebs-csi-driver', version: 'v1.44.0-eksbuild.1' },
        { name: 'eks-pod-identity-agent', version: 'v1.3.8-eksbuild.2' },
      ],
      insights: [
        {
          name: blockingInsight,
          category: 'UPGRADE_READINESS',
          kubernetesVersion: '1.33',
          status: 'ERROR',
          reason: 'Deprecated API usage detected within the last 30 days.',
          description: 'Checks for usage of deprecated APIs that are scheduled for removal in Kubernetes v1.33.',
          recommendation: 'Update manifests and API clients to use newer Kubernetes APIs.',
          resources: [],
          deprecations: [
            {
              usage: '/apis/flowcontrol.apiserver.k8s.io/v1beta3/flowschemas',
              replacedWith: '/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas',
              stopServingVersion: '1.33',
              clients: [{ userAgent: 'old-operator', numberOfRequestsLast30Days: 42, lastRequestAt: new Date('2026-08-20T00:00:00Z') }],
            },
          ],
        },
      ],
      manifests: demoWorld.clusters[0]?.manifests ?? [],
    },
  ],
};
