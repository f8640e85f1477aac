import { DescribeUpdateCommand, ListUpdatesCommand, type Update } from '@aws-sdk/client-eks';
import type { Target } from '../../../domain/target.ts';
import type { Clients } from '../../clients.ts';
import { awsError } from '../../failure.ts';
import { listAllOf, pageSize } from '../../aws-pages.ts';
import { inParallel } from '../../kubernetes/client/read.ts';

/** Whose updates: those of a node group, of an add-on, or, without either, of the cluster itself. */
export interface UpdateOwner {
  nodegroupName?: string;
  addonName?: string;
}

/**
 * The updates of a cluster, or of one of its node groups or add-ons, the newest first. EKS lists their ids in no order that it
 * promises, so all of them are read. Throws `aws-…` errors.
 */
export async function readUpdates(clients: Clients, target: Target, of: UpdateOwner = {}): Promise<Update[]> {
  const eks = clients.eks(target.region);
  const owner = { name: target.name, ...of };
  try {
    const ids = await listIds(clients, target, of);
    const updates = await inParallel(ids, async (updateId) => (await eks.send(new DescribeUpdateCommand({ ...owner, updateId }))).update);
    const known = updates.flatMap((update) => update ?? []);
    return known.sort((a, b) => (b.createdAt?.getTime() ?? 0) - (a.createdAt?.getTime() ?? 0));
  } catch (error) {
    throw awsError(error, `DescribeUpdate of ${of.nodegroupName ?? of.addonName ?? target.name}`, target);
  }
}

/** The update that is in progress; EKS takes one at a time, of the cluster and of each node group and add-on. */
export function updateInProgress(updates: readonly Update[]): Update | undefined {
  return updates.find(({ status }) => status === 'InProgress');
}

/** That an update goes on in EKS whatever a run does, and how to follow it; nothing where none is in progress. */
export function goesOnIn(update: Update | undefined, { region, name }: Target, of: UpdateOwner = {}): { goesOn?: string } {
  if (update?.id === undefined) return {};
  const owner = of.nodegroupName ? ` --nodegroup-name ${of.nodegroupName}` : of.addonName ? ` --addon-name ${of.addonName}` : '';
  const command = `aws eks describe-update --region ${region} --name ${name}${owner} --update-id ${update.id}`;
  return { goesOn: `update ${update.id} goes on in EKS, which nothing here stops: \`${command}\` follows it` };
}

function listIds(clients: Clients, target: Target, of: UpdateOwner): Promise<string[]> {
  return listAllOf('ListUpdates', target, async (nextToken) => {
    const command = new ListUpdatesCommand({ name: target.name, ...of, maxResults: pageSize, nextToken });
    const { updateIds: items, nextToken: next } = await clients.eks(target.region).send(command);
    return { items, nextToken: next };
  });
}
