import {
  DescribeAddonCommand,
  DescribeAddonVersionsCommand,
  DescribeClusterCommand,
  DescribeNodegroupCommand,
  EKSClient,
} from '@aws-sdk/client-eks';
import { setTimeout as wait } from 'node:timers/promises';
import { send } from '../../test/lab-kubernetes/raw.ts';
import { addons, clusterName, nodegroups, region, toVersion } from './world.ts';

const lookPauseMs = 50;
const restTimeoutMs = 10 * 60_000;

/** What is not as an upgrade leaves it. */
export interface Left {
  controlPlane?: string;
  nodegroups: string[];
  addons: string[];
  cordonedNodes: string[];
}

/** Looks at a cluster from outside, by a client that nobody counts among the contenders. */
export class Aftermath {
  private readonly eks: EKSClient;
  private readonly url: string;

  constructor(url: string) {
    this.url = url;
    this.eks = new EKSClient({ region, endpoint: url, credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' } });
  }

  close(): void {
    this.eks.destroy();
  }

  /** Resolves when a node group is being updated. Throws after the limit. */
  async untilUpdating(nodegroup: string): Promise<void> {
    await this.until(async () => (await this.nodegroup(nodegroup)).status === 'UPDATING');
  }

  /** Resolves when EKS has ended whatever was begun. Throws after the limit. */
  async untilAtRest(): Promise<void> {
    await this.until(async () => {
      const { cluster } = await this.eks.send(new DescribeClusterCommand({ name: clusterName }));
      const groups = await Promise.all(nodegroups.map((name) => this.nodegroup(name)));
      const own = await Promise.all(addons.map((name) => this.addon(name)));
      return [cluster?.status, ...groups.map(({ status }) => status), ...own.map(({ status }) => status)].every((one) => one === 'ACTIVE');
    });
  }

  async left(): Promise<Left> {
    const { cluster } = await this.eks.send(new DescribeClusterCommand({ name: clusterName }));
    const groups = await Promise.all(nodegroups.map((name) => this.nodegroup(name)));
    const behind = await Promise.all(addons.map(async (name) => ((await this.isDue(name)) ? [name] : [])));
    const { body } = await send({ url: `${this.url}/kubernetes/${clusterName}` }, 'GET', '/api/v1/nodes');
    const nodes = body.items as { metadata: { name: string }; spec: { unschedulable?: boolean } }[];
    return {
      ...(cluster?.version !== toVersion && { controlPlane: cluster?.version }),
      nodegroups: groups.filter(({ version }) => version !== toVersion).map(({ nodegroupName = '' }) => nodegroupName),
      addons: behind.flat(),
      cordonedNodes: nodes.filter(({ spec }) => spec.unschedulable === true).map(({ metadata }) => metadata.name),
    };
  }

  private async isDue(addonName: string): Promise<boolean> {
    const { addons: known = [] } = await this.eks.send(new DescribeAddonVersionsCommand({ addonName, kubernetesVersion: toVersion }));
    const versions = known[0]?.addonVersions ?? [];
    const standard = versions.find(({ compatibilities }) => compatibilities?.some((one) => one.defaultVersion))?.addonVersion;
    return (await this.addon(addonName)).addonVersion !== standard;
  }

  private async nodegroup(nodegroupName: string) {
    return (await this.eks.send(new DescribeNodegroupCommand({ clusterName, nodegroupName }))).nodegroup ?? {};
  }

  private async addon(addonName: string) {
    return (await this.eks.send(new DescribeAddonCommand({ clusterName, addonName }))).addon ?? {};
  }

  private async until(holds: () => Promise<boolean>): Promise<void> {
    const giveUpAt = performance.now() + restTimeoutMs;
    while (!(await holds())) {
      if (performance.now() > giveUpAt) throw new Error('the cluster has not come to what was waited for');
      await wait(lookPauseMs);
    }
  }
}

/** Whether nothing is left to do. */
export function isDone({ controlPlane, nodegroups: groups, addons: own, cordonedNodes }: Left): boolean {
  return controlPlane === undefined && [groups, own, cordonedNodes].every((list) => list.length === 0);
}
