import { DescribeAddonCommand, DescribeAddonVersionsCommand, type Addon, type AddonVersionInfo } from '@aws-sdk/client-eks';
import type { Target } from '../../../domain/target.ts';
import { digestOf } from '../../../domain/plan/plan.ts';
import type { AddonRelease } from '../../../domain/version/addons.ts';
import type { Clients } from '../../clients.ts';
import { awsError } from '../../failure.ts';
import { issueText } from '../cluster.ts';
import { isMissing } from '../nodegroup/nodegroup.ts';
import { listAllOf, pageSize } from '../../aws-pages.ts';

/** What a plan of `eks.updateAddon` rests on. */
export type AddonFacts = {
  addon: string;
  /** So that another add-on which has taken the name since is left alone. */
  addonArn: string;
  from: string;
  /** The same as `from` where nothing is to be done. */
  to: string;
  resolveConflicts: 'NONE' | 'PRESERVE' | 'OVERWRITE';
  /** Of its settings, which are sent along unchanged; null where it has none. They may hold what only the cluster should know. */
  configurationDigest: string | null;
  serviceAccountRoleArn: string | null;
  /** Whether an update in progress is waited for, to be taken back then. */
  waitForUpdate: boolean;
};

/** An add-on as EKS describes it; undefined where the cluster has none of that name. Throws `cluster-unknown`, `aws-…` errors. */
export async function findAddon(clients: Clients, target: Target, addonName: string): Promise<Addon | undefined> {
  try {
    return (await clients.eks(target.region).send(new DescribeAddonCommand({ clusterName: target.name, addonName }))).addon;
  } catch (error) {
    const known = awsError(error, `DescribeAddon ${addonName}`, target);
    if (isMissing(error, known)) return undefined;
    throw known;
  }
}

/** The versions of add-ons that EKS has, of one or for one version of Kubernetes. Reads only. Throws `aws-…` errors. */
export async function readAddonReleases(
  clients: Clients,
  target: Target,
  of: { addonName: string } | { kubernetesVersion: string },
): Promise<{ name: string; releases: AddonRelease[] }[]> {
  const addons = await listAllOf('DescribeAddonVersions', target, async (nextToken) => {
    const command = new DescribeAddonVersionsCommand({ ...of, maxResults: pageSize, nextToken });
    const answer = await clients.eks(target.region).send(command);
    return { items: answer.addons, nextToken: answer.nextToken };
  });
  return addons.map(({ addonName: name = '', addonVersions = [] }) => ({ name, releases: addonVersions.map(releaseOf) }));
}

function releaseOf({ addonVersion = '', compatibilities = [] }: AddonVersionInfo): AddonRelease {
  return {
    version: addonVersion,
    runsOn: compatibilities.map(({ clusterVersion = '' }) => clusterVersion),
    defaultFor: compatibilities.flatMap(({ clusterVersion = '', defaultVersion }) => (defaultVersion === true ? [clusterVersion] : [])),
  };
}

/** The settings of an add-on under one digest; null where it has none. */
export function configurationDigestOf({ configurationValues = '' }: Addon): string | null {
  return configurationValues === '' ? null : digestOf(configurationValues);
}

/** What EKS finds wrong with an add-on; undefined where it finds nothing. */
export function addonIssue({ health }: Addon): string | undefined {
  const [issue] = health?.issues ?? [];
  return issue && issueText(issue);
}
