import type { BlueGreenDeployment } from '@aws-sdk/client-rds';
import type { BlueGreen } from '../../domain/database/blue-green.ts';
import { runTag } from '../../domain/database/clone.ts';
import type { Target } from '../../domain/target.ts';
import { listAllOf, pageSize } from '../aws-pages.ts';
import type { Clients } from '../clients.ts';

/** The blue/green deployments of the region that have to do with a cluster, by its name. Throws `aws-…` errors. */
export async function readBlueGreens(clients: Clients, target: Target): Promise<BlueGreen[]> {
  const { reads } = await clients.rds(target.region);
  const all = await listAllOf('DescribeBlueGreenDeployments', target, async (Marker) => {
    const { BlueGreenDeployments: items, Marker: nextToken } = await reads.describeBlueGreenDeployments({ MaxRecords: pageSize, Marker });
    return { items, nextToken };
  });
  return all.map(blueGreenOf);
}

/** A deployment by its name; undefined where there is none. Throws `aws-…` errors. */
export async function readBlueGreen(clients: Clients, target: Target, name: string): Promise<BlueGreen | undefined> {
  return (await readBlueGreens(clients, target)).find((one) => one.name === name);
}

function blueGreenOf(deployment: BlueGreenDeployment): BlueGreen {
  const { Tasks: tasks = [], SwitchoverDetails: members = [], TagList: tags = [] } = deployment;
  return {
    id: deployment.BlueGreenDeploymentIdentifier ?? '',
    name: deployment.BlueGreenDeploymentName ?? '',
    status: deployment.Status ?? 'unknown',
    statusDetails: deployment.StatusDetails ?? '',
    source: nameIn(deployment.Source),
    target: nameIn(deployment.Target),
    tasks: tasks.map(({ Name = '', Status = 'unknown' }) => ({ name: Name, status: Status })),
    memberStatuses: members.map(({ Status = 'unknown' }) => Status),
    run: tags.find(({ Key }) => Key === runTag)?.Value,
  };
}

function nameIn(arn: string | undefined): string {
  return arn?.split(':').at(-1) ?? '';
}
