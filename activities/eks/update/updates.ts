import { DescribeUpdateCommand, ListUpdatesCommand, type Update } from '@aws-sdk/client-eks';
import type { Target } from '../../../domain/action.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import type { Clients } from '../../clients.ts';
import { awsError } from '../../failure.ts';
import { inParallel } from '../../kubernetes/client/read.ts';

const pageSize = 100;
const pagesMax = 20;

/**
 * The updates of a cluster, or of one of its node groups, the newest first. EKS lists their ids in no order that it
 * promises, so all of them are read. Throws `aws-…` errors.
 */
export async function readUpdates(clients: Clients, target: Target, nodegroupName?: string): Promise<Update[]> {
  const eks = clients.eks(target.region);
  const owner = { name: target.name, nodegroupName };
  try {
    const ids = await listIds(clients, target, nodegroupName);
    const updates = await inParallel(ids, async (updateId) => (await eks.send(new DescribeUpdateCommand({ ...owner, updateId }))).update);
    const known = updates.flatMap((update) => update ?? []);
    return known.sort((a, b) => (b.createdAt?.getTime() ?? 0) - (a.createdAt?.getTime() ?? 0));
  } catch (error) {
    throw awsError(error, `DescribeUpdate of ${nodegroupName ?? target.name}`, target);
  }
}

async function listIds(clients: Clients, target: Target, nodegroupName: string | undefined): Promise<string[]> {
  const ids: string[] = [];
  let nextToken: string | undefined;
  for (let page = 0; page < pagesMax; page += 1) {
    const command = new ListUpdatesCommand({ name: target.name, nodegroupName, maxResults: pageSize, nextToken });
    const answer = await clients.eks(target.region).send(command);
    ids.push(...(answer.updateIds ?? []));
    nextToken = answer.nextToken;
    if (nextToken === undefined) return ids;
  }
  throw new HoldpointError('aws-refused', {
    call: 'ListUpdates',
    target: target.name,
    cause: `it lists more than ${pagesMax * pageSize} updates`,
  });
}
