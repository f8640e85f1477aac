import { asExpected } from '../../domain/preflight/as-expected.ts';
import { preflight, type Report } from '../../domain/preflight/preflight.ts';
import type { Aim, Snapshot } from '../../domain/preflight/snapshot.ts';
import { expectedVersion, type ExpectedChange } from '../../domain/plan/expected.ts';
import type { Waiver } from '../../domain/preflight/waiver.ts';
import { HoldpointError } from '../../domain/errors.ts';
import type { Target } from '../../domain/target.ts';
import { minorVersionOf, minorVersionText } from '../../domain/version/version.ts';
import { clustersOf } from '../../runbooks/configuration/clusters.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import { createClients, type Clients } from '../clients.ts';
import { readCluster } from '../eks/cluster.ts';
import type { KubernetesApis } from '../kubernetes/client/connect.ts';
import { connectByKubeconfig, type KubeconfigOptions } from '../kubernetes/client/kubeconfig.ts';
import { readEksParts } from './eks-parts.ts';
import { podSubnets, readKubernetesParts, serverVersion } from './kubernetes-parts.ts';
import { reading } from './reading.ts';

/** How a cluster is checked. */
export interface CheckOptions {
  /** The version that it is to go to; the next minor version if left out. */
  toVersion?: string;
  waivers?: readonly Waiver[];
  updatedAddons?: Aim['updatedAddons'];
  updatedNodegroups?: Aim['updatedNodegroups'];
  /** What is done to the cluster before it goes to the version. */
  expected?: readonly ExpectedChange[];
  /** For a cluster of Kubernetes that is reached as `kubectl` reaches it, instead of by the configuration. */
  kubeconfig?: KubeconfigOptions;
}

/**
 * Reads a cluster once and makes every check over it. Changes nothing. What may not be read is told in the report.
 * Throws `cluster-unknown`, `target-not-configured`, `kubeconfig-invalid`, `kubernetes-…` and `aws-…` errors where not even the version
 * can be read, and `action-input-invalid` where it can go to no such version.
 */
export async function checkCluster(clients: Clients, target: Target, options: CheckOptions = {}): Promise<Report> {
  const connect = async (): Promise<KubernetesApis> =>
    options.kubeconfig ? connectByKubeconfig(options.kubeconfig).apis : clients.kubernetes(target);
  const cluster = target.kind === 'eks' ? await readCluster(clients, target) : undefined;
  const apis = cluster ? await reading(connect) : { value: await connect() };
  const { expected = [], updatedAddons, updatedNodegroups, waivers } = options;
  const present = cluster?.version ?? ('value' in apis ? await serverVersion(apis.value, target.name) : '');
  const { own, toVersion } = versionsOf(expectedVersion(expected, `Cluster/${target.name}`) ?? present, options.toVersion);
  const ofKubernetes = 'value' in apis ? await readKubernetesParts(apis.value, target.name) : unreadParts(apis.unread);
  let snapshot: Snapshot = ofKubernetes;
  if (cluster) {
    const subnets = 'value' in apis ? await reading(() => podSubnets(apis.value, target.name)) : { value: [] };
    const ids = 'value' in subnets ? subnets.value : [];
    snapshot = { ...ofKubernetes, ...(await readEksParts(clients, target, cluster, { toVersion, podSubnets: ids })) };
  }
  const aim: Aim = { version: own, toVersion, nowMs: Date.now(), updatedAddons, updatedNodegroups };
  return preflight(asExpected(snapshot, expected, target.name), aim, waivers);
}

/**
 * The same with the rights of whoever calls it: AWS as its SDK finds the credentials, a cluster of Kubernetes as the configuration says.
 * Throws what `checkCluster` throws.
 */
export async function checkByHand(
  target: Target,
  options: CheckOptions,
  configured?: { file: string; configuration: Configuration },
): Promise<Report> {
  const clusters = configured ? clustersOf(configured.file, configured.configuration) : {};
  return checkCluster(createClients({ clusters: async () => clusters }), target, options);
}

function versionsOf(version: string, wanted: string | undefined): { own: string; toVersion: string } {
  const minor = minorVersionOf(version);
  if (!minor) throw new HoldpointError('action-input-invalid', { action: 'check', cause: 'the cluster tells no version that can be read' });
  return { own: minorVersionText(minor), toVersion: wanted ?? minorVersionText({ ...minor, minor: minor.minor + 1 }) };
}

function unreadParts(unread: string): Snapshot {
  const parts = [
    'nodes',
    'pods',
    'budgets',
    'workloads',
    'storage',
    'written',
    'helmReleases',
    'webhooks',
    'services',
    'customKinds',
    'kubeProxyMode',
  ] as const;
  return Object.fromEntries(parts.map((part) => [part, { unread }]));
}
