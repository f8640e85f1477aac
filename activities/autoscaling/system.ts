import type { Clients } from '../clients.ts';
import type { System } from '../system.ts';
import { findNodesAction } from './find-nodes.ts';
import { findHeld, giveBack, groupOfAnnotation, holdAction, releaseAction } from './hold.ts';
import { setLaunchTemplateAction } from './launch-template.ts';
import { replaceAction } from './replace.ts';
import { scaleUpAction } from './scale-up.ts';
import { terminateAction } from './terminate.ts';

/** Auto Scaling groups: what runs leave at them is the tag of a hold, by which what they have suspended is resumed. */
export function autoscalingSystem(clients: Clients): System {
  return {
    name: 'autoscaling',
    actions: [
      findNodesAction(clients),
      holdAction(clients),
      releaseAction(clients),
      setLaunchTemplateAction(clients),
      scaleUpAction(clients),
      terminateAction(clients),
      replaceAction(clients),
    ],
    annotations: {
      kinds: ['eks'],
      leftBy: ['autoscaling.hold'],
      find: (target) => findHeld(clients, target),
      release: async (target, run) => {
        const held = (await findHeld(clients, target)).filter((one) => one.run === run);
        for (const { node } of held) await giveBack(clients, target, groupOfAnnotation(node) ?? '', run);
        return held.map(({ node }) => node);
      },
      lift: async (target, { node, run }) => {
        const group = groupOfAnnotation(node);
        return group !== undefined && giveBack(clients, target, group, run);
      },
    },
  };
}
