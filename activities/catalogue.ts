import type { AnyAction } from './action.ts';
import type { Clients } from './clients.ts';
import { createNodegroupAction } from './eks/nodegroup/create.ts';
import { deleteNodegroupAction } from './eks/nodegroup/delete.ts';
import { preflightAction } from './eks/preflight.ts';
import { updateNodegroupVersionAction } from './eks/nodegroup/update-version.ts';
import { cordonAction } from './kubernetes/cordon/cordon.ts';
import { drainAction } from './kubernetes/drain/drain.ts';
import { uncordonAction } from './kubernetes/cordon/uncordon.ts';

/** Every action by its name: the code behind the declarations of `runbooks/actions/index.ts`. */
export function createActions(clients: Clients): Map<string, AnyAction> {
  const actions = [
    preflightAction(clients),
    createNodegroupAction(clients),
    cordonAction(clients),
    uncordonAction(clients),
    drainAction(clients),
    deleteNodegroupAction(clients),
    updateNodegroupVersionAction(clients),
  ];
  return new Map(actions.map((action) => [action.declaration.name, action]));
}
