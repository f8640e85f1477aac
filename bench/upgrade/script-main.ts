import {
  DescribeAddonCommand,
  DescribeAddonVersionsCommand,
  DescribeClusterCommand,
  DescribeInsightsRefreshCommand,
  DescribeNodegroupCommand,
  EKSClient,
  StartInsightsRefreshCommand,
  UpdateAddonCommand,
  UpdateClusterVersionCommand,
  UpdateNodegroupVersionCommand,
  waitUntilAddonActive,
  waitUntilClusterActive,
  waitUntilNodegroupActive,
} from '@aws-sdk/client-eks';
import { setTimeout as wait } from 'node:timers/promises';
import { addons, clusterName, lastAddon, nodegroups, region, toVersion } from './world.ts';

/** Between two looks of whoever loses no time; in the time of the world it is a second. */
const lookSeconds = 1;
/** Between two looks of the SDK's waiters, in the time of the world: its own defaults for clusters and node groups, and for add-ons. */
const waiterSeconds = { minDelay: 30, maxDelay: 120 };
const addonWaiterSeconds = { minDelay: 10, maxDelay: 120 };
const waitSecondsMax = 7_200;

const [, , order, endpoint, speedText] = process.argv;
const speed = Number(speedText);
const eks = new EKSClient({ region, endpoint, credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' } });
const where = { clusterName };

/** How a script waits until what it has begun is over. */
interface Patience {
  cluster(): Promise<unknown>;
  nodegroup(nodegroupName: string): Promise<unknown>;
  addon(addonName: string): Promise<unknown>;
}

async function untilActive(look: () => Promise<string | undefined>): Promise<void> {
  while ((await look()) !== 'ACTIVE') await wait((1000 * lookSeconds) / speed);
}

const tireless: Patience = {
  cluster: () => untilActive(async () => (await eks.send(new DescribeClusterCommand({ name: clusterName }))).cluster?.status),
  nodegroup: (nodegroupName) =>
    untilActive(async () => (await eks.send(new DescribeNodegroupCommand({ ...where, nodegroupName }))).nodegroup?.status),
  addon: (addonName) => untilActive(async () => (await eks.send(new DescribeAddonCommand({ ...where, addonName }))).addon?.status),
};

function inWorldTime({ minDelay, maxDelay }: typeof waiterSeconds): {
  client: EKSClient;
  maxWaitTime: number;
  minDelay: number;
  maxDelay: number;
} {
  return { client: eks, maxWaitTime: waitSecondsMax, minDelay: minDelay / speed, maxDelay: maxDelay / speed };
}

const waiters: Patience = {
  cluster: () => waitUntilClusterActive(inWorldTime(waiterSeconds), { name: clusterName }),
  nodegroup: (nodegroupName) => waitUntilNodegroupActive(inWorldTime(waiterSeconds), { ...where, nodegroupName }),
  addon: (addonName) => waitUntilAddonActive(inWorldTime(addonWaiterSeconds), { ...where, addonName }),
};

async function upgradeControlPlane(patience: Patience): Promise<void> {
  await eks.send(new UpdateClusterVersionCommand({ name: clusterName, version: toVersion }));
  await patience.cluster();
}

async function updateNodegroup(nodegroupName: string, patience: Patience): Promise<void> {
  await eks.send(new UpdateNodegroupVersionCommand({ ...where, nodegroupName, version: toVersion }));
  await patience.nodegroup(nodegroupName);
}

async function updateAddon(addonName: string, patience: Patience): Promise<void> {
  const { addons: known = [] } = await eks.send(new DescribeAddonVersionsCommand({ addonName, kubernetesVersion: toVersion }));
  const versions = known[0]?.addonVersions ?? [];
  const addonVersion = versions.find(({ compatibilities }) => compatibilities?.some((one) => one.defaultVersion))?.addonVersion;
  const { addon } = await eks.send(new DescribeAddonCommand({ ...where, addonName }));
  if (addon?.addonVersion === addonVersion) return;
  await eks.send(new UpdateAddonCommand({ ...where, addonName, addonVersion, resolveConflicts: 'PRESERVE' }));
  await patience.addon(addonName);
}

async function inTurn(
  names: readonly string[],
  update: (name: string, patience: Patience) => Promise<void>,
  patience: Patience,
): Promise<void> {
  for (const name of names) await update(name, patience);
}

const early = addons.filter((name) => name !== lastAddon);

/** Scripts by name: what EKS itself takes at best, what it takes in the order of a run of Holdpoint, and what eksctl's guide says. */
const scripts: Readonly<Record<string, () => Promise<void>>> = {
  'at-best': async () => {
    await upgradeControlPlane(tireless);
    const all = [...early.map((name) => updateAddon(name, tireless)), ...nodegroups.map((name) => updateNodegroup(name, tireless))];
    await Promise.all(all);
    await updateAddon(lastAddon, tireless);
  },
  'in-order': async () => {
    await eks.send(new StartInsightsRefreshCommand(where));
    await untilActive(async () => {
      const { status } = await eks.send(new DescribeInsightsRefreshCommand(where));
      return status === 'COMPLETED' ? 'ACTIVE' : status;
    });
    await upgradeControlPlane(tireless);
    await inTurn(early, updateAddon, tireless);
    await inTurn(nodegroups, updateNodegroup, tireless);
    await updateAddon(lastAddon, tireless);
  },
  // https://docs.aws.amazon.com/eks/latest/eksctl/cluster-upgrade.html: control plane, node groups, add-ons.
  'eksctl-order': async () => {
    await upgradeControlPlane(waiters);
    await inTurn(nodegroups, updateNodegroup, waiters);
    await inTurn(addons, updateAddon, waiters);
  },
};

const script = scripts[order ?? ''];
if (!script) throw new RangeError(`there is no script ${order ?? ''}`);
console.log('begun');
await script();
eks.destroy();
