import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext } from '../../domain/action.ts';
import {
  activeInstances,
  batchesMax,
  groupObject,
  inTurns,
  piecesOf,
  rotationFindings,
  surgeOf,
  unreadyBlockers,
  type RotatedNode,
} from '../../domain/autoscaling/group.ts';
import type { Blocker } from '../../domain/plan/plan.ts';
import { compareText } from '../../domain/text.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { nodesByInstance, readGroup, readHooks, readRefreshes, versionNumber } from './read.ts';

type Input = ActionInput<'autoscaling.findNodes'>;
type Facts = { group: string; arn: string; size: number; version: string; batches: RotatedNode[][] };

/** `autoscaling.findNodes`: the nodes of a group that are to be replaced, as they are when the step is planned. It changes nothing. */
export function findNodesAction(clients: Clients): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['autoscaling.findNodes'],
    plan: (input, context) => planFinding(clients, input, context),
    observe: async ({ facts }) => ({ state: 'done', outputs: outputsOf(facts) }),
    act: async () => undefined,
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}

async function planFinding(clients: Clients, input: Input, { target }: ActionContext): Promise<PlanOf<Facts>> {
  const group = await readGroup(clients, target, input.group);
  const object = groupObject(group.name);
  const [refreshes, hooks, nodes] = await Promise.all([
    readRefreshes(clients, target, group.name),
    readHooks(clients, target, group.name),
    nodesByInstance(clients, target),
  ]);
  const wanted = input.launchTemplateVersion ?? group.template?.version;
  const version = group.template && wanted !== undefined ? await versionNumber(clients, target, group.template.id, wanted) : undefined;
  const { blockers, notes } = rotationFindings(group, { refreshes, hooks, version: input.launchTemplateVersion });
  if (group.template && version === undefined) {
    const reason = `Its launch template ${group.template.id} has no version ${wanted ?? ''}.`;
    blockers.push({
      object,
      reason,
      remedy: `See \`aws ec2 describe-launch-template-versions --launch-template-id ${group.template.id}\`.`,
    });
  }
  const outdated = activeInstances(group).filter((instance) => version !== undefined && instance.version !== version);
  const going = outdated
    .flatMap(({ id, zone }) => (nodes.has(id) ? [{ node: nameOf(nodes.get(id)), instance: id, zone, age: ageOf(nodes.get(id)) }] : []))
    .sort((one, other) => compareText(one.age, other.age) || compareText(one.node, other.node))
    .map(({ age: _age, ...node }): RotatedNode => node);
  const ordered = inTurns(going);
  const canaries = ordered.slice(0, input.canary ?? 0);
  const others = ordered.slice(canaries.length);
  const batches = [...(canaries.length > 0 ? [canaries] : []), ...piecesOf(others, surgeOf(input.surge, others.length))];
  const facts: Facts = { group: group.name, arn: group.arn, size: group.desiredSize, version: version ?? '', batches };
  return {
    ...emptyPlan(facts),
    blockers: [...blockers, ...unreadyBlockers(group, (id) => nodes.get(id)?.metadata?.name), ...countBlockers(object, batches.length)],
    notes: [...notes, ...(going.length === 0 ? [`All nodes of ${group.name} are of version ${facts.version} already.`] : [])],
    details: { nodes: going.map(({ node }) => node), batches: batches.length },
    outputs: outputsOf(facts),
  };
}

function countBlockers(object: string, batches: number): Blocker[] {
  if (batches <= batchesMax) return [];
  const reason = `That makes ${batches} batches; a rotation may have ${batchesMax}.`;
  return [{ object, reason, remedy: 'Choose a larger surge.' }];
}

function outputsOf({ size, version, batches }: Facts): { nodes: string[]; batches: BatchOutput[]; sizeMax: number; version: string } {
  const outputs = batches.map((batch): BatchOutput => {
    return { nodes: batch.map(({ node }) => node), size: size + batch.length };
  });
  const sizeMax = Math.max(size, ...outputs.map((batch) => batch.size));
  return { nodes: outputs.flatMap(({ nodes }) => nodes), batches: outputs, sizeMax, version };
}

/** `size` is what the group has while the batch is replaced. */
type BatchOutput = { nodes: string[]; size: number };

function nameOf(node: V1Node | undefined): string {
  return node?.metadata?.name ?? '';
}

/** Since when it has been a node, as text that sorts. */
function ageOf(node: V1Node | undefined): string {
  const at = node?.metadata?.creationTimestamp;
  return at ? new Date(at).toISOString() : '';
}
