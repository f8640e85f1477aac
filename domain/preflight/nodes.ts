import { minorVersionOf, minorVersionText, skewProblem } from '../version/version.ts';
import { getOrAdd } from '../map.ts';
import { defineCheck, someOf, type Check, type Found } from './finding.ts';
import { nodegroupLabel, type NodeView } from './snapshot.ts';

const skewPolicy = 'https://kubernetes.io/releases/version-skew-policy/';

const kubeletSkew = defineCheck({
  name: 'kubelet-skew',
  title: 'Kubelets are too old for the version, or newer than the control plane',
  severity: 'error',
  source: skewPolicy,
  reads: ['nodes'],
  find: ({ nodes }, { version, toVersion }) =>
    grouped(nodes, ({ kubeletVersion }) => minorText(kubeletVersion)).flatMap(([minor, names]) => {
      const problem = skewProblem(minor, toVersion) ?? skewProblem(minor, version);
      if (problem === undefined) return [];
      const why = `${upperFirst(problem)}. Nodes: ${someOf(names)}.`;
      return [{ object: `Nodes/kubelet-${minor}`, severity: 'error', why, remedy: 'Replace these nodes before the upgrade.' }];
    }),
});

const notReady = defineCheck({
  name: 'node-not-ready',
  title: 'A node is not Ready',
  severity: 'error',
  source: 'https://kubernetes.io/docs/reference/node/node-status/',
  reads: ['nodes'],
  find: ({ nodes }) =>
    nodes
      .filter(({ ready }) => !ready)
      .map(({ name }) => ({
        object: `Node/${name}`,
        severity: 'error' as const,
        why: 'It is not Ready.',
        remedy: 'Repair or remove the node first.',
      })),
});

const oldRuntime = defineCheck({
  name: 'container-runtime',
  title: 'Nodes run Docker, or a containerd before 2.0, which Kubernetes supports up to 1.35',
  severity: 'error for Docker, else warning',
  source: 'https://kubernetes.io/blog/2025/12/17/kubernetes-v1-35-release/',
  reads: ['nodes'],
  find: ({ nodes }, { toVersion }) =>
    grouped(nodes, ({ runtimeVersion }) => oldRuntimeOf(runtimeVersion, toVersion)).flatMap(([runtime, names]): Found[] => {
      if (runtime === '') return [];
      const why = `These nodes run ${runtime}: ${someOf(names)}.`;
      const remedy = 'Replace them by nodes of a present AMI.';
      return [{ object: `Nodes/${runtime}`, severity: runtime === 'docker' ? 'error' : 'warning', why, remedy }];
    }),
});

/** What happens to nodes that are not of a managed node group, by what their labels say. */
const kindsOfNodes: readonly { kind: string; is: (labels: NodeView['labels']) => boolean; why: string; remedy: string }[] = [
  {
    kind: 'fargate',
    is: (labels) => labels['eks.amazonaws.com/compute-type'] === 'fargate',
    why: 'Fargate gives each pod a node of its own, whose kubelet stays as it is until the pod is made anew.',
    remedy: 'Roll out the workloads on Fargate after the upgrade of the control plane (`kubectl rollout restart`).',
  },
  {
    kind: 'hybrid',
    is: (labels) => labels['eks.amazonaws.com/compute-type'] === 'hybrid',
    why: 'Hybrid nodes are upgraded on their machines (nodeadm); EKS does not do it, and does not roll them back.',
    remedy: 'Plan their upgrade, within the version skew, after the control plane.',
  },
  {
    kind: 'auto-mode',
    is: (labels) => labels['eks.amazonaws.com/compute-type'] === 'auto',
    why: 'EKS Auto Mode replaces these nodes by itself soon after the upgrade of the control plane, within budgets of its node pools.',
    remedy: 'Set the disruption budgets of the node pools first; the pods move without a hold.',
  },
  {
    kind: 'windows',
    is: (labels) => labels['kubernetes.io/os'] === 'windows',
    why: 'Windows nodes are replaced by nodes of an AMI of the new version; their images are large and start slowly.',
    remedy: 'Update their node groups apart from the others, with enough time for a node.',
  },
  {
    kind: 'karpenter',
    is: (labels) => labels['karpenter.sh/nodepool'] !== undefined && labels['eks.amazonaws.com/compute-type'] !== 'auto',
    why: 'Karpenter sees these nodes as drifted right after the upgrade of the control plane where their AMI follows its version.',
    remedy: 'Hold drift with a budget of 0 nodes, or pin the AMI, until the bake is over.',
  },
  {
    kind: 'self-managed',
    is: isSelfManaged,
    why: 'These nodes are of no managed node group: EKS does not update them, and reports no health of them.',
    remedy: 'Plan how they are replaced; until then their kubelets age with each upgrade.',
  },
];

const nodeKinds = defineCheck({
  name: 'node-kind',
  title: 'Fargate, hybrid, Auto Mode, Windows, Karpenter and self-managed nodes, and what happens to them',
  severity: 'note',
  source: 'https://docs.aws.amazon.com/eks/latest/userguide/eks-compute.html',
  reads: ['cluster', 'nodes'],
  find: ({ nodes }) =>
    kindsOfNodes.flatMap(({ kind, is, why, remedy }): Found[] => {
      const names = nodes.filter(({ labels }) => is(labels)).map(({ name }) => name);
      return names.length === 0 ? [] : [{ object: `Nodes/${kind}`, severity: 'note', why: `${why} Nodes: ${someOf(names)}.`, remedy }];
    }),
});

function isSelfManaged(labels: NodeView['labels']): boolean {
  const known = [nodegroupLabel, 'eks.amazonaws.com/compute-type', 'karpenter.sh/nodepool'];
  return known.every((key) => labels[key] === undefined);
}

function oldRuntimeOf(runtime: string, toVersion: string): string {
  if (runtime.startsWith('docker://')) return 'docker';
  const minor = minorVersionOf(toVersion)?.minor ?? 0;
  return /^containerd:\/\/1\./.test(runtime) && minor >= 36 ? 'containerd-1' : '';
}

function minorText(version: string): string {
  const minor = minorVersionOf(version);
  return minor ? minorVersionText(minor) : version;
}

function grouped(nodes: readonly NodeView[], key: (node: NodeView) => string): [string, string[]][] {
  const groups = new Map<string, string[]>();
  for (const node of nodes) getOrAdd(groups, key(node), () => []).push(node.name);
  return [...groups];
}

function upperFirst(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What nodes are, and whether they fit the version. */
export const nodeChecks: readonly Check[] = [kubeletSkew, notReady, oldRuntime, nodeKinds];
