import type { Clients } from '../clients.ts';
import type { System } from '../system.ts';
import { listNodes } from './client/read.ts';
import { cordonAction } from './cordon/cordon.ts';
import { liftCordon, liftCordonsOf, runsAnnotating } from './cordon/owner-annotation.ts';
import { uncordonAction } from './cordon/uncordon.ts';
import { drainAction } from './drain/drain.ts';

/** Everything that has a Kubernetes API, whoever runs it: its nodes are what runs cordon and annotation. */
export function kubernetesSystem(clients: Clients): System {
  return {
    name: 'kubernetes',
    actions: [cordonAction(clients), uncordonAction(clients), drainAction(clients)],
    annotations: {
      kinds: ['eks', 'kubernetes'],
      release: async (target, run) => liftCordonsOf(await clients.kubernetes(target), target.name, run),
      find: async (target) => {
        const nodes = await listNodes(await clients.kubernetes(target), target.name);
        return nodes.flatMap((node) => runsAnnotating(node).map((run) => ({ node: node.metadata?.name ?? '', run })));
      },
      lift: async (target, { node, run }) => liftCordon(await clients.kubernetes(target), target.name, { name: node }, run),
    },
  };
}
