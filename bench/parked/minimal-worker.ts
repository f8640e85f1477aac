import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { createClients } from '../../activities/clients.ts';
import { apiPath } from '../../activities/kubernetes/client/connect.ts';
import { region } from './world.ts';

/** What the minimal workflow can do. */
export interface MinimalActivities {
  cordon(cluster: string, node: string): Promise<void>;
}

/** The call that the action `kubernetes.cordon` makes as well, over the same client. */
function createMinimalActivities(): MinimalActivities {
  const clients = createClients();
  return {
    cordon: async (cluster, node) => {
      const apis = await clients.kubernetes({ kind: 'eks', region, name: cluster });
      await apis.request('PATCH', apiPath`/api/v1/nodes/${node}`, { body: { spec: { unschedulable: true } } });
    },
  };
}

/** `FILE`: runs a worker of the workflow in it with the defaults of Temporal; it reads the environment of our worker. */
async function main(): Promise<void> {
  const { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace, HOLDPOINT_TASK_QUEUE: taskQueue = '' } = process.env;
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: ['SIGINT', 'SIGTERM'] });
  const worker = await Worker.create({
    connection: await NativeConnection.connect({ address }),
    namespace,
    taskQueue,
    activities: createMinimalActivities(),
    workflowsPath: process.argv[2] ?? '',
  });
  console.log(JSON.stringify({ listening: true, taskQueue }));
  await worker.run();
}

await main();
