import type { Controller, ControllerContext } from '../controller.ts';
import { isReady, keyOf, timestamp } from '../objects.ts';
import type { Node, Taint } from '../objects.ts';
import type { Actor } from '../store.ts';
import { notReadyTaint, unschedulableTaint } from './placement.ts';

const actor: Actor = { part: 'controller', name: 'node-controller', verb: 'update' };

/** Keeps the taints of each node in step with whether it is cordoned and whether it is ready. */
export function createNodeController({ store, clock }: ControllerContext): Controller {
  return {
    name: 'node',
    onChange: ({ resource, object, type }) => (resource === 'nodes' && type !== 'DELETED' ? [keyOf(object)] : []),
    reconcile: (key) => {
      if (!store.getByKey('nodes', key)) return;
      store.update('nodes', key, actor, (draft) => {
        const timeAdded = timestamp(clock.now());
        toggle(draft, { key: unschedulableTaint, effect: 'NoSchedule', timeAdded }, draft.spec.unschedulable === true);
        toggle(draft, { key: notReadyTaint, effect: 'NoSchedule', timeAdded }, !isReady(draft));
      });
    },
  };
}

function toggle(node: Node, taint: Taint, wanted: boolean): void {
  const taints = node.spec.taints ?? [];
  if (taints.some(({ key }) => key === taint.key) === wanted) return;
  const after = wanted ? [...taints, taint] : taints.filter(({ key }) => key !== taint.key);
  if (after.length > 0) node.spec.taints = after;
  else delete node.spec.taints;
}
