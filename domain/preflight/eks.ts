import { msOf } from '../time.ts';
import { minorsBetween } from '../version/hop.ts';
import { minorVersionOf } from '../version/version.ts';
import { defineCheck, type Check, type Found } from './finding.ts';
import type { HealthIssue } from './snapshot.ts';

/** EKS looks anew once a day. */
const insightsFreshMs = 26 * 3_600_000;
const guide = 'https://docs.aws.amazon.com/eks/latest/userguide';

/** What a cluster costs under extended support, instead of 0.10 USD (https://aws.amazon.com/eks/pricing/). */
const extendedSupportPrice = '0.60 USD an hour instead of 0.10';
/** Time enough to plan an upgrade. */
const supportSoonMs = 60 * 86_400_000;

const insights = defineCheck({
  name: 'insight',
  title: 'What EKS finds against the version (upgrade insights)',
  severity: 'error for ERROR, warning for WARNING and UNKNOWN',
  source: `${guide}/cluster-insights.html`,
  reads: ['insights'],
  find: ({ insights: all }) =>
    all
      .filter(({ status }) => status !== 'PASSING')
      .map(({ name, status, found, recommendation }) => ({
        object: `Insight/${name}`,
        severity: status === 'ERROR' ? ('error' as const) : ('warning' as const),
        why: `EKS finds: ${found}`,
        remedy: recommendation || 'Put right what it names; then have EKS look again.',
      })),
});

const insightsStale = defineCheck({
  name: 'insights-stale',
  title: 'EKS has not looked at the cluster for more than a day, or has no insights for the version',
  severity: 'warning',
  source: `${guide}/cluster-insights.html`,
  reads: ['cluster', 'insights'],
  find: ({ cluster, insights: all }, { nowMs, toVersion }) => {
    const remedy = 'Have EKS look again: `aws eks start-insights-refresh`, or a step `eks.refreshInsights`.';
    const object = `Cluster/${cluster.name}`;
    if (all.length === 0) return [{ object, severity: 'warning', why: `EKS has no insights for ${toVersion}.`, remedy }];
    const times = all.flatMap(({ refreshedAtMs }) => refreshedAtMs ?? []);
    if (times.length > 0 && nowMs - Math.min(...times) <= insightsFreshMs) return [];
    return [{ object, severity: 'warning', why: 'The insights of EKS are more than a day old.', remedy }];
  },
});

const clusterStatus = defineCheck({
  name: 'cluster-status',
  title: 'The cluster is not ACTIVE, or an update is in progress',
  severity: 'error',
  source: `${guide}/update-cluster.html`,
  reads: ['cluster'],
  find: ({ cluster: { name, status } }) =>
    status === 'ACTIVE'
      ? []
      : [{ object: `Cluster/${name}`, severity: 'error', why: `Its status is ${status}.`, remedy: 'Wait until it is ACTIVE.' }],
});

const clusterHealth = defineCheck({
  name: 'cluster-health',
  title: 'EKS reports an issue of the cluster',
  severity: 'error',
  source: `${guide}/troubleshooting.html`,
  reads: ['cluster'],
  find: ({ cluster }) => issuesFound(cluster.issues),
});

const nodegroupHealth = defineCheck({
  name: 'nodegroup-health',
  title: 'EKS reports an issue of a node group, or it is not ACTIVE',
  severity: 'error',
  source: `${guide}/troubleshooting.html`,
  reads: ['nodegroups'],
  find: ({ nodegroups }) =>
    nodegroups.flatMap(({ name, status, issues }) => {
      if (issues.length > 0) return issuesFound(issues);
      const remedy = 'Wait until it is ACTIVE, or put right what made it fail.';
      return status === 'ACTIVE' ? [] : [{ object: `Nodegroup/${name}`, severity: 'error', why: `Its status is ${status}.`, remedy }];
    }),
});

const amazonLinux2 = defineCheck({
  name: 'amazon-linux-2',
  title: 'A node group uses Amazon Linux 2, of which there are no AMIs from 1.33 on',
  severity: 'error from 1.33 on, else warning',
  source: `${guide}/eks-ami-deprecation-faqs.html`,
  reads: ['nodegroups'],
  find: ({ nodegroups }, { toVersion }) =>
    nodegroups
      .filter(({ amiType }) => /^AL2_/.test(amiType))
      .map(({ name, amiType }) => ({
        object: `Nodegroup/${name}`,
        severity: (minorsBetween('1.33', toVersion) ?? 0) >= 0 ? ('error' as const) : ('warning' as const),
        why: `Its AMI type is ${amiType}; EKS gives out no Amazon Linux 2 for Kubernetes 1.33 and later.`,
        remedy: 'Move its workloads to a node group of Amazon Linux 2023 or Bottlerocket.',
      })),
});

const nodegroupSkew = defineCheck({
  name: 'nodegroup-behind',
  title: 'A node group is behind the control plane before the upgrade',
  severity: 'warning',
  source: 'https://kubernetes.io/releases/version-skew-policy/',
  reads: ['nodegroups'],
  find: ({ nodegroups }, { version }) =>
    nodegroups.flatMap(({ name, version: own }) => {
      const behind = minorsBetween(own, version);
      if (behind === undefined || behind <= 0) return [];
      const why = `It is at ${own}, the control plane at ${version}.`;
      return [{ object: `Nodegroup/${name}`, severity: 'warning', why, remedy: `Update it to ${version} before the control plane.` }];
    }),
});

const launchTemplateDrift = defineCheck({
  name: 'launch-template-drift',
  title: 'A node group uses an older version of its launch template than the default or the latest one',
  severity: 'warning for older than the default, else note',
  source: `${guide}/launch-templates.html`,
  reads: ['nodegroups', 'launchTemplates'],
  find: ({ nodegroups, launchTemplates }) =>
    nodegroups.flatMap(({ name, launchTemplate: own }): Found[] => {
      const template = launchTemplates.find(({ id }) => id === own?.id);
      if (own === undefined || template === undefined) return [];
      const isBehind = (other: string): boolean => Number(own.version) < Number(other);
      if (!isBehind(template.default) && !isBehind(template.latest)) return [];
      const versions = `its default version is ${template.default}, its latest ${template.latest}`;
      const why = `It uses version ${own.version} of its launch template ${own.id}; ${versions}.`;
      const remedy = 'Compare the versions, and update the node group first, so that one change comes at a time.';
      return [{ object: `Nodegroup/${name}`, severity: isBehind(template.default) ? 'warning' : 'note', why, remedy }];
    }),
});

const launchTemplateImage = defineCheck({
  name: 'launch-template-image',
  title: 'A node group has an AMI of its own, in its launch template, which EKS does not choose',
  severity: 'warning',
  source: `${guide}/launch-templates.html#launch-template-custom-ami`,
  reads: ['nodegroups', 'launchTemplates'],
  find: ({ nodegroups, launchTemplates }, { toVersion }) =>
    nodegroups.flatMap(({ name, amiType, launchTemplate: own }) => {
      const template = launchTemplates.find(({ id }) => id === own?.id);
      const image = template?.used.find(({ version }) => version === own?.version)?.image;
      if (image === undefined && amiType !== 'CUSTOM') return [];
      const why = `Its launch template names the AMI ${image ?? '(not told)'}, so EKS cannot bring its nodes to ${toVersion}.`;
      const remedy = `Make a version of the template with an AMI for ${toVersion}, and give it to the node group after the control plane.`;
      return [{ object: `Nodegroup/${name}`, severity: 'warning', why, remedy }];
    }),
});

const certificateAuthority = defineCheck({
  name: 'certificate-authority-events',
  title: 'EKS will activate a certificate authority by itself',
  severity: 'warning',
  source: 'https://docs.aws.amazon.com/eks/latest/APIReference/API_ListCertificateAuthorities.html',
  reads: ['certificateAuthorities'],
  find: ({ certificateAuthorities }) =>
    certificateAuthorities.flatMap(({ id, activatedAt, mayBeActivatedFrom: from, isActivatedBy: by, validUntil }) => {
      if (activatedAt !== undefined || (from === undefined && by === undefined)) return [];
      const when = `between ${from ?? 'an unknown time'} and ${by ?? 'an unknown time'}`;
      const ends = validUntil === undefined ? '' : ` It is valid until ${validUntil}.`;
      return [
        {
          object: `CertificateAuthority/${id}`,
          severity: 'warning',
          why: `EKS activates it by itself ${when}: nodes and clients that do not trust it by then lose the cluster.${ends}`,
          remedy: 'Have every node and client trust it, and activate it before that.',
        },
      ];
    }),
});

const versionHops = defineCheck({
  name: 'version-hops',
  title: 'The version is not the next minor version',
  severity: 'error for an older version, else note',
  source: `${guide}/update-cluster.html`,
  reads: ['cluster'],
  find: ({ cluster }, { version, toVersion }) => {
    const hops = minorsBetween(version, toVersion);
    const object = `Cluster/${cluster.name}`;
    if (hops === undefined || minorVersionOf(toVersion) === undefined || hops < 0) {
      return [{ object, severity: 'error', why: `It cannot go from ${version} to ${toVersion}.`, remedy: 'Name a later version.' }];
    }
    if (hops <= 1) return [];
    const why = `EKS upgrades by one minor version at a time: ${version} to ${toVersion} are ${hops} upgrades.`;
    return [{ object, severity: 'note', why, remedy: 'Upgrade step by step, and check before each step.' }];
  },
});

const support = defineCheck({
  name: 'version-support',
  title: 'The standard support of a version of Kubernetes has ended, or ends within 60 days',
  severity: 'warning',
  source: `${guide}/kubernetes-versions.html`,
  reads: ['cluster', 'versionSupport'],
  find: ({ cluster, versionSupport }, { toVersion, nowMs }) =>
    versionSupport.flatMap(({ version, standardEnds, extendedEnds }): Found[] => {
      if (standardEnds === undefined || msOf(standardEnds) - nowMs > supportSoonMs) return [];
      const ends = `Standard support of ${version} ${msOf(standardEnds) <= nowMs ? 'has ended' : 'ends'} on ${dayOf(standardEnds)}`;
      const what =
        cluster.supportType === 'STANDARD'
          ? 'EKS upgrades the cluster by itself then'
          : `from then on a cluster costs ${extendedSupportPrice}, and EKS upgrades it by itself on ${dayOf(extendedEnds)}`;
      const remedy = version === toVersion ? 'Plan the upgrade to a later version, too.' : 'Upgrade before, at a time of your own choice.';
      return [{ object: `KubernetesVersion/${version}`, severity: 'warning', why: `${ends}; ${what}.`, remedy }];
    }),
});

function dayOf(time: string | undefined): string {
  return time?.slice(0, 'yyyy-mm-dd'.length) ?? 'a day that it does not tell';
}

/** What EKS says of its own clusters and node groups. */
export const eksChecks: readonly Check[] = [
  clusterStatus,
  clusterHealth,
  versionHops,
  support,
  insights,
  insightsStale,
  nodegroupHealth,
  nodegroupSkew,
  amazonLinux2,
  launchTemplateDrift,
  launchTemplateImage,
  certificateAuthority,
];

/** What EKS reports of an object, as findings. */
export function issuesFound(issues: readonly HealthIssue[]): Found[] {
  return issues.map(({ object, code, message }) => ({
    object,
    severity: 'error',
    why: `EKS reports ${code}: ${message}`,
    remedy: 'Put right what EKS reports.',
  }));
}
