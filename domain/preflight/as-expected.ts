import { expectedOfNodes, expectedVersion, isRemoved, type ExpectedChange } from '../plan/expected.ts';
import { nodegroupLabel, type Parts, type Reading, type Snapshot } from './snapshot.ts';

/**
 * A cluster as it will be when the steps before have been carried out: with the versions that they bring, and without the nodes that
 * they take away. What is not known of those to come is left as it is.
 */
export function asExpected(snapshot: Snapshot, expected: readonly ExpectedChange[], cluster: string): Snapshot {
  if (expected.length === 0) return snapshot;
  const { removed } = expectedOfNodes(expected);
  const versionOf = (kind: string, name: string): string | undefined => expectedVersion(expected, `${kind}/${cluster}/${name}`);
  const kubeProxy = versionOf('Addon', 'kube-proxy');
  return {
    ...snapshot,
    ...changed('nodegroups', snapshot, (groups) =>
      groups
        .filter(({ name }) => !isRemoved(expected, `Nodegroup/${cluster}/${name}`))
        .map((group) => ({ ...group, version: versionOf('Nodegroup', group.name) ?? group.version })),
    ),
    ...changed('addons', snapshot, (addons) =>
      addons.map((addon) => ({ ...addon, version: versionOf('Addon', addon.name) ?? addon.version })),
    ),
    ...changed('nodes', snapshot, (nodes) =>
      nodes.flatMap((node) => {
        const version = versionOf('Nodegroup', node.labels[nodegroupLabel] ?? '');
        if (removed.has(node.name) && version === undefined) return [];
        return [{ ...node, kubeletVersion: version ?? node.kubeletVersion }];
      }),
    ),
    ...changed('workloads', snapshot, (workloads) =>
      workloads.map((workload) => {
        const [container, ...others] = workload.containers;
        if (kubeProxy === undefined || workload.name !== 'kube-proxy' || container === undefined) return workload;
        return { ...workload, containers: [{ ...container, image: `kube-proxy:${kubeProxy}` }, ...others] };
      }),
    ),
  };
}

/** One part as it will be; nothing where it was not read. */
function changed<Name extends keyof Parts>(name: Name, snapshot: Snapshot, change: (part: Parts[Name]) => Parts[Name]): Snapshot {
  const reading: Reading<Parts[Name]> | undefined = snapshot[name];
  return reading && 'value' in reading ? { [name]: { value: change(reading.value) } } : {};
}
