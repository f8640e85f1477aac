import type { V1Node } from '@kubernetes/client-node';
import type { ActionContext, Observation, ProgressItem } from '../../domain/action.ts';
import { isObject, type Json } from '../../domain/json.ts';
import { firstNames } from '../../domain/text.ts';
import { actions, type ActionInput } from '../../runbooks/actions/index.ts';
import { parseDurationMs } from '../../runbooks/configuration/duration.ts';
import { defineAction, emptyPlan, type AnyAction, type PlanOf } from '../action.ts';
import type { Clients } from '../clients.ts';
import { inParallel, nodeIsReady, readNode } from './client/read.ts';
import { nodesOfInput } from './cordon/cordon.ts';

const estimateMs = 5 * 60_000;

type Input = ActionInput<'kubernetes.awaitReboot'>;
type Facts = { nodes: { name: string; uid: string; bootId: string }[]; within: string };

/** What one try remembers: since when it waits, in milliseconds since 1970. */
type Memory = { retry: number; sinceMs: number };

/**
 * `kubernetes.awaitReboot`: a node was rebooted when its kubelet tells of another boot id (`status.nodeInfo.bootID`, which is that of
 * the kernel) than in the plan. It changes nothing: a person or another tool reboots.
 *
 * @param nowMs the clock, in milliseconds since 1970.
 */
export function awaitRebootAction(clients: Clients, nowMs: () => number = Date.now): AnyAction {
  return defineAction<Input, Facts>({
    declaration: actions['kubernetes.awaitReboot'],
    plan: (input, context) => planReboot(clients, input, context),
    observe: (plan, context) => observeReboot(clients, plan.facts, context, nowMs()),
    act: async () => undefined,
    undo: async () => ({ nothing: 'It changes nothing.' }),
  });
}

async function planReboot(clients: Clients, { nodes: names, within }: Input, context: ActionContext): Promise<PlanOf<Facts>> {
  const { nodes } = await nodesOfInput(clients, { nodes: names, ignoreMissing: false }, context);
  const facts = nodes.map((node) => ({ name: nameOf(node), uid: node.metadata?.uid ?? '', bootId: bootIdOf(node) }));
  const unknown = facts.filter(({ bootId }) => bootId === '');
  return {
    ...emptyPlan<Facts>({ nodes: facts, within }),
    blockers: unknown.map(({ name }) => ({
      object: `Node/${name}`,
      reason: 'Its kubelet has told of no boot id, so nobody could see that it was rebooted.',
      remedy: 'Wait until its kubelet has reported, then plan again; where it never does, use node-maintenance.',
    })),
    notes: facts.map(({ name }) => `Node ${name} has to be rebooted by a person or another tool; this run only waits for it.`),
    outputs: { nodes: facts.map(({ name }) => name) },
    estimateMs,
  };
}

async function observeReboot(clients: Clients, { nodes, within }: Facts, context: ActionContext, nowMs: number): Promise<Observation> {
  const { target, checkpoint, retry } = context;
  const apis = await clients.kubernetes(target);
  const { sinceMs } = memoryIn(checkpoint.read(), retry) ?? { sinceMs: nowMs };
  checkpoint.write({ retry, sinceMs } satisfies Memory);
  const items = await inParallel(nodes, async (node): Promise<ProgressItem> => {
    return { name: node.name, ...standingOf(node, await readNode(apis, target.name, node.name)), total: 1 };
  });
  const left = items.filter(({ state }) => state !== 'done');
  const done = items.length - left.length;
  const summary = left.length === 0 ? `${done} of ${items.length} nodes were rebooted` : `${left.map(inWords).join('; ')}`;
  const progress = { summary, done, total: items.length, unit: 'nodes', items };
  if (left.length === 0) return { state: 'done', outputs: { nodes: nodes.map(({ name }) => name) }, progress };
  if (nowMs - sinceMs < (parseDurationMs(within) ?? 0)) return { state: 'moving', progress };
  const reason = `After ${within}, ${left.length} of ${items.length} nodes are not back: ${firstNames(left.map(inWords))}.`;
  const remedy = 'Reboot them, or see at the machine why they do not come back; then try again (`holdpoint retry`), which waits anew.';
  return { state: 'stuck', reason, remedy, progress };
}

/** One that is gone, or was replaced under its name, needs no reboot any more. */
function standingOf(planned: Facts['nodes'][number], node: V1Node | undefined): Pick<ProgressItem, 'state' | 'done' | 'detail'> {
  if (node?.metadata?.uid !== planned.uid) return { state: 'done', done: 1, detail: 'gone' };
  if (bootIdOf(node) === planned.bootId) return { state: 'waiting', done: 0, detail: 'waits for its reboot' };
  return nodeIsReady(node) ? { state: 'done', done: 1 } : { state: 'moving', done: 0, detail: 'has rebooted and is not Ready yet' };
}

function inWords({ name, detail }: ProgressItem): string {
  return `${name} ${detail ?? ''}`;
}

/** What this try has written down; an earlier one's time is over. */
function memoryIn(value: Json | undefined, retry: number): Memory | undefined {
  const known = isObject(value) ? (value as Memory) : undefined;
  return known?.retry === retry ? known : undefined;
}

function bootIdOf({ status }: V1Node): string {
  return status?.nodeInfo?.bootID ?? '';
}

function nameOf({ metadata }: V1Node): string {
  return metadata?.name ?? '';
}
