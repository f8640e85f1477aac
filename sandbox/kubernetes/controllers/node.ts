import type { Controller, ControllerContext } from '../controller.ts';
import { isReady, keyOf, timestamp } from '../objects.ts';
import type { Node, Taint } from '../objects.ts';
import type { Actor, Change } from '../store.ts';
import { notReadyTaint, unschedulableTaint } from './placement.ts';

const actor: Actor = { part: 'controller', name: 'node-controller', verb: 'update' };

/** Keeps the taints of each node in step with whether it is cordoned and whether it is ready. */
export function createNodeController(context: ControllerContext): Controller {
  const { store, clock } = context;
  // Told when the queue comes to it: whoever hears of a change must not make another one meanwhile.
  const untold: Change[] = [];
  return {
    name: 'node',
    onChange: (change) => {
      if (change.resource !== 'nodes') return [];
      untold.push(change);
      return [keyOf(change.object)];
    },
    reconcile: (key) => {
      for (const change of untold.splice(0)) report(context, change);
      if (!store.getByKey('nodes', key)) return;
      store.update('nodes', key, actor, (draft) => {
        const timeAdded = timestamp(clock.now());
        toggle(draft, { key: unschedulableTaint, effect: 'NoSchedule', timeAdded }, draft.spec.unschedulable === true);
        toggle(draft, { key: notReadyTaint, effect: 'NoSchedule', timeAdded }, !isReady(draft));
      });
    },
  };
}

/** What the kubelet and the node controller tell of a node; the API server itself tells nothing of a cordon. */
function report(context: ControllerContext, { type, object, previous }: Change): void {
  const node = object as Node;
  const before = previous as Node | undefined;
  const tell = (reason: string, message: string, component: string): void =>
    context.recordEvent(node, 'Normal', reason, message, component);
  const { name } = node.metadata;
  if (type === 'ADDED') tell('RegisteredNode', `Node ${name} event: Registered Node ${name} in Controller`, 'node-controller');
  else if (type === 'DELETED') tell('RemovingNode', `Node ${name} event: Removing Node ${name} from Controller`, 'node-controller');
  else if (before) {
    const isCordoned = node.spec.unschedulable === true;
    const status = (reason: string): void => tell(reason, `Node ${name} status is now: ${reason}`, 'kubelet');
    if (isCordoned !== (before.spec.unschedulable === true)) status(isCordoned ? 'NodeNotSchedulable' : 'NodeSchedulable');
    if (isReady(node) !== isReady(before)) status(isReady(node) ? 'NodeReady' : 'NodeNotReady');
  }
}

function toggle(node: Node, taint: Taint, wanted: boolean): void {
  const taints = node.spec.taints ?? [];
  if (taints.some(({ key }) => key === taint.key) === wanted) return;
  const after = wanted ? [...taints, taint] : taints.filter(({ key }) => key !== taint.key);
  if (after.length > 0) node.spec.taints = after;
  else delete node.spec.taints;
}
