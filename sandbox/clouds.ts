import { createServer, type RequestListener, type Server } from 'node:http';
import type { AutoScalingGroup } from './auto-scaling/group.ts';
import { createAutoScalingHandler, groupsBehind, isAutoScalingRequest } from './auto-scaling/handler.ts';
import type { Groups } from './auto-scaling/operations.ts';
import type { Cloud } from './cloud.ts';
import { createCloudwatchHandler, isCloudwatchRequest, type ProcessorUse } from './cloudwatch/handler.ts';
import { createEc2Handler, isEc2Request } from './ec2/handler.ts';
import { Faults } from './faults.ts';
import type { DatabaseCluster } from './rds/cluster.ts';
import { createRdsHandler, isRdsRequest } from './rds/handler.ts';
import { createSsmHandler, isSsmRequest } from './ssm/handler.ts';

/** What a world of several answers with. */
export type CloudOfWorld = Pick<
  Cloud,
  'handle' | 'subnets' | 'launchTemplates' | 'autoScalingGroups' | 'replaceInstance' | 'selfManagedGroups' | 'processors' | 'databases'
> & {
  /** What goes wrong with requests to RDS that name a database of this world; nothing if left out. */
  faults?: Faults;
};

/**
 * Serves the AWS of several worlds on one endpoint, by the names of their clusters. Paths of EKS name their cluster
 * (`/clusters/NAME/…`); subnets and databases are looked for in all worlds, and what EKS says of no cluster, such as the versions of
 * add-ons, is the same in each.
 */
export function serveClouds(clouds: ReadonlyMap<string, CloudOfWorld>): Promise<Server> {
  const noFaults = new Faults(0, () => undefined);
  const ec2 = createEc2Handler(
    {
      subnets: () => [...clouds.values()].flatMap(({ subnets }) => subnets()),
      launchTemplates: () => [...clouds.values()].flatMap(({ launchTemplates }) => launchTemplates()),
    },
    noFaults,
  );
  const behind = (): Groups => {
    const all = [...clouds.values()];
    return groupsBehind(
      all.flatMap(({ selfManagedGroups }) => selfManagedGroups),
      all,
    );
  };
  const autoScaling = createAutoScalingHandler(behind, (form) => {
    const values = new Set(form.values());
    const isNamed = ({ seed, clusterName, instances }: AutoScalingGroup): boolean =>
      values.has(seed.name) || values.has(`kubernetes.io/cluster/${clusterName}`) || instances.some(({ id }) => values.has(id));
    return [...clouds.values()].find(({ selfManagedGroups }) => selfManagedGroups.some(isNamed))?.faults ?? noFaults;
  });
  const all = (): DatabaseCluster[] => [...clouds.values()].flatMap(({ databases }) => databases());
  const rds = createRdsHandler(all, (form) => {
    const values = new Set(form.values());
    const isNamed = ({ name, instances, deployments }: DatabaseCluster): boolean =>
      [name, ...instances.map((one) => one.name), ...deployments.flatMap((one) => [one.id, one.name])].some((each) => values.has(each));
    const ownersOf = ({ databases }: CloudOfWorld): DatabaseCluster[] => databases().flatMap((database) => database.all());
    return [...clouds.values()].find((cloud) => ownersOf(cloud).some(isNamed))?.faults ?? noFaults;
  });
  const processors = (): ProcessorUse => {
    const uses = [...clouds.values()].map((cloud) => cloud.processors());
    return { used: uses.reduce((sum, { used }) => sum + used, 0), max: Math.max(0, ...uses.map(({ max }) => max)) };
  };
  const cloudwatch = createCloudwatchHandler(new Map(), noFaults, all, processors);
  const ssm = createSsmHandler(noFaults);
  const handleOf = (path: string): RequestListener | undefined => {
    const [, first, name = ''] = path.split(/[/?]/);
    const [any] = clouds.values();
    return (first === 'clusters' ? clouds.get(decodeURIComponent(name)) : any)?.handle;
  };
  const server = createServer((request, response) => {
    if (isCloudwatchRequest(request)) return cloudwatch(request, response);
    if (isSsmRequest(request)) return ssm(request, response);
    if (isRdsRequest(request)) return rds(request, response);
    if (isAutoScalingRequest(request)) return autoScaling(request, response);
    if (isEc2Request(request)) return ec2(request, response);
    const handle = handleOf(request.url ?? '');
    if (handle) return void handle(request, response);
    response.writeHead(404, { 'x-amzn-ErrorType': 'ResourceNotFoundException' }).end('{"message":"No world has this cluster."}');
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}
