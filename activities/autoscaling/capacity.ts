import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext, Progress, Stuck } from '../../domain/action.ts';
import { activeInstances, isLeaving, shortageOf, type ScaledInstance, type ScalingGroup } from '../../domain/autoscaling/group.ts';
import type { Target } from '../../domain/target.ts';
import type { Clients } from '../clients.ts';
import { withoutFullStop } from '../failure.ts';
import { nodeIsReady } from '../kubernetes/client/read.ts';
import { nodesByInstance, readActivities } from './read.ts';

/** The instances of a group that have come since a plan was made, with their nodes. */
export interface Newcomers {
  instances: { instance: ScaledInstance; node?: V1Node; isReady: boolean }[];
  /** How many instances count for the size of the group, whether they have come since or not. */
  active: number;
}

/** Throws `kubernetes-…` errors. @param present the ids of the instances that there were */
export async function newcomersOf(clients: Clients, target: Target, group: ScalingGroup, present: readonly string[]): Promise<Newcomers> {
  const nodes = await nodesByInstance(clients, target);
  const active = activeInstances(group);
  const instances = active
    .filter(({ id }) => !present.includes(id))
    .map((instance) => {
      const node = nodes.get(instance.id);
      const isReady = instance.state === 'InService' && node !== undefined && nodeIsReady(node);
      return { instance, ...(node && { node }), isReady };
    });
  return { instances, active: active.length };
}

/** How far a group is on its way to a size. */
export function arrivalProgress(group: ScalingGroup, { instances, active }: Newcomers, wanted: number): Progress {
  const items = instances.map(({ instance: { id, state }, node, isReady }) => ({
    name: node?.metadata?.name ?? id,
    state: isReady ? ('done' as const) : ('moving' as const),
    done: isReady ? 1 : 0,
    total: 1,
    ...(!isReady && { detail: state !== 'InService' ? state : node ? 'not Ready yet' : 'no node yet' }),
  }));
  const ready = active - items.filter(({ state }) => state === 'moving').length;
  const ending = group.instances.filter(isLeaving).length;
  const also = ending > 0 ? `, ${ending} ending` : '';
  return { summary: `${ready} of ${wanted} instances of ${group.name} Ready${also}`, done: ready, total: wanted, unit: 'instances', items };
}

/**
 * Why waiting for instances is in vain; undefined where it is not. Once an operator has had the step tried again, failures of before count
 * no more. Throws `aws-…` errors.
 */
export async function shortage(
  clients: Clients,
  group: ScalingGroup,
  context: ActionContext,
  progress: Progress,
): Promise<Stuck | undefined> {
  const { target, checkpoint, retry } = context;
  const told = checkpoint.read() as { failure: string; retry: number } | undefined;
  const askedAfter = told !== undefined && told.retry < retry ? told.failure : undefined;
  const found = shortageOf(await readActivities(clients, target, group.name), askedAfter);
  if (!found) return undefined;
  checkpoint.write({ failure: found.id, retry });
  return {
    state: 'stuck',
    reason: `AWS starts no instance of ${group.name}: ${withoutFullStop(found.message)}. All nodes that were there stay as they are.`,
    remedy: 'Wait for capacity or allow other instance types or zones, then try again; or undo the run.',
    progress,
  };
}
