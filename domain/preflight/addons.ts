import { minorsBetween } from '../version/hop.ts';
import { compareNumbers } from '../version/version.ts';
import { imageTag } from './image.ts';
import { issuesFound } from './eks.ts';
import { defineCheck, objectText, type Check, type Found } from './finding.ts';

const guide = 'https://docs.aws.amazon.com/eks/latest/userguide';
/** kube-proxy may be three minor versions behind the API server. */
const kubeProxyMinorsBehindMax = 3;
/** Workloads of kube-system that EKS has add-ons for, by their names. */
const addonOfWorkload: Readonly<Record<string, string>> = {
  'aws-node': 'vpc-cni',
  coredns: 'coredns',
  'kube-proxy': 'kube-proxy',
  'ebs-csi-controller': 'aws-ebs-csi-driver',
  'efs-csi-controller': 'aws-efs-csi-driver',
  'metrics-server': 'metrics-server',
};

const health = defineCheck({
  name: 'addon-health',
  title: 'EKS reports an issue of an add-on, or it is not ACTIVE',
  severity: 'error',
  source: `${guide}/eks-add-ons.html`,
  reads: ['addons'],
  find: ({ addons }) =>
    addons.flatMap(({ name, status, issues }) => {
      if (issues.length > 0) return issuesFound(issues);
      const remedy = 'Wait until it is ACTIVE, or put right what made it fail.';
      return status === 'ACTIVE' ? [] : [{ object: `Addon/${name}`, severity: 'error', why: `Its status is ${status}.`, remedy }];
    }),
});

const compatible = defineCheck({
  name: 'addon-version',
  title: 'An add-on has a version that EKS does not give out for the version, or an older one than its default there',
  severity: 'error, warning for an older one than the default, note where the run updates it',
  source: `${guide}/updating-an-add-on.html`,
  reads: ['addons', 'addonVersions'],
  find: ({ addons, addonVersions }, { toVersion, updatedAddons = [] }) =>
    addons.flatMap(({ name, version }): Found[] => {
      const known = addonVersions.find((one) => one.name === name);
      const object = `Addon/${name}`;
      if (!known || known.compatible.length === 0) {
        const why = `EKS gives out no version of it for Kubernetes ${toVersion}.`;
        return [{ object, severity: 'error', why, remedy: 'Find out from its maker what takes its place, before the upgrade.' }];
      }
      const better = known.default ?? known.compatible[0] ?? '';
      if (updatedAddons.includes(name)) {
        const why = `Its version ${version} is not the default for Kubernetes ${toVersion}, ${better}. This run updates it when it is due.`;
        return version === better ? [] : [{ object, severity: 'note', why, remedy: 'Nothing is to be done.' }];
      }
      if (!known.compatible.includes(version)) {
        const why = `Its version ${version} is none of those that EKS gives out for Kubernetes ${toVersion}.`;
        return [
          { object, severity: 'error', why, remedy: `Update it to one that fits both versions, such as ${better}, before the upgrade.` },
        ];
      }
      if (compareNumbers(version, better) >= 0) return [];
      const why = `Its version ${version} is older than ${better}, the default for Kubernetes ${toVersion}.`;
      return [{ object, severity: 'warning', why, remedy: `Update it to ${better} after the upgrade of the control plane.` }];
    }),
});

const selfManaged = defineCheck({
  name: 'self-managed-addon',
  title: 'An add-on that EKS does not manage is older than any version that EKS gives out for the version',
  severity: 'error',
  source: `${guide}/eks-add-ons.html`,
  reads: ['addons', 'addonVersions', 'workloads'],
  find: ({ addons, addonVersions, workloads }, { toVersion }) =>
    workloads
      .filter(({ namespace }) => namespace === 'kube-system')
      .flatMap((workload) => {
        const addon = addonOfWorkload[workload.name];
        if (addon === undefined || addons.some(({ name }) => name === addon)) return [];
        const versions = addonVersions.find(({ name }) => name === addon)?.compatible ?? [];
        const [lowest] = [...versions].sort(compareNumbers);
        const own = imageTag(workload.containers[0]?.image ?? '');
        if (lowest === undefined || own === undefined || compareNumbers(own, lowest) >= 0) return [];
        const why = `Its image has the tag ${own}; the oldest version of ${addon} for Kubernetes ${toVersion} is ${lowest}.`;
        return [{ object: objectText(workload), severity: 'error', why, remedy: `Update it to ${lowest} or later before the upgrade.` }];
      }),
});

const kubeProxy = defineCheck({
  name: 'kube-proxy-skew',
  title: 'kube-proxy is newer than the control plane, or more than 3 minor versions behind the version',
  severity: 'error',
  source: 'https://kubernetes.io/releases/version-skew-policy/#kube-proxy',
  reads: ['workloads'],
  find: ({ workloads }, { version, toVersion }) =>
    workloads.filter(isKubeProxy).flatMap((workload) => {
      const own = imageTag(workload.containers[0]?.image ?? '') ?? '';
      const ahead = minorsBetween(version, own);
      const behind = minorsBetween(own, toVersion);
      const object = objectText(workload);
      if (ahead !== undefined && ahead > 0) {
        const why = `It has version ${own}, which is newer than the control plane (${version}).`;
        return [{ object, severity: 'error', why, remedy: `Take it back to ${version}.` }];
      }
      if (behind === undefined || behind <= kubeProxyMinorsBehindMax) return [];
      const why = `It has version ${own}, ${behind} minor versions behind ${toVersion}; ${kubeProxyMinorsBehindMax} are allowed.`;
      return [{ object, severity: 'error', why, remedy: 'Update it before the upgrade.' }];
    }),
});

const ipvs = defineCheck({
  name: 'kube-proxy-ipvs',
  title: 'kube-proxy runs in the IPVS mode, which is deprecated from 1.35 on',
  severity: 'warning from 1.35 on, else note',
  source: 'https://www.kubernetes.dev/resources/keps/5495/',
  reads: ['kubeProxyMode'],
  find: ({ kubeProxyMode }, { toVersion }) => {
    if (kubeProxyMode !== 'ipvs') return [];
    const isDeprecated = (minorsBetween('1.35', toVersion) ?? -1) >= 0;
    return [
      {
        object: 'ConfigMap/kube-system/kube-proxy-config',
        severity: isDeprecated ? 'warning' : 'note',
        why: 'Its mode is ipvs, which is deprecated from Kubernetes 1.35 on.',
        remedy: 'Set the mode to iptables or nftables, and try it on a node first.',
      },
    ];
  },
});

const clusterAutoscaler = defineCheck({
  name: 'cluster-autoscaler-version',
  title: 'The cluster autoscaler is of another minor version',
  severity: 'warning',
  source: 'https://github.com/kubernetes/autoscaler/tree/master/cluster-autoscaler#releases',
  reads: ['workloads'],
  find: ({ workloads }, { toVersion }) =>
    workloads.flatMap((workload) => {
      const image = workload.containers.find((container) => /(^|\/)cluster-autoscaler[:@]/.test(container.image))?.image;
      const own = imageTag(image ?? '');
      const behind = own === undefined ? undefined : minorsBetween(own, toVersion);
      if (behind === undefined || behind === 0) return [];
      const why = `It is made for another minor version than ${toVersion}: its image has the tag ${own}.`;
      return [{ object: objectText(workload), severity: 'warning', why, remedy: `Update it to ${toVersion} after the control plane.` }];
    }),
});

function isKubeProxy({ kind, namespace, name }: { kind: string; namespace: string; name: string }): boolean {
  return kind === 'DaemonSet' && namespace === 'kube-system' && name === 'kube-proxy';
}

/** Add-ons of EKS, and those that are managed by hand. */
export const addonChecks: readonly Check[] = [health, compatible, selfManaged, kubeProxy, ipvs, clusterAutoscaler];
