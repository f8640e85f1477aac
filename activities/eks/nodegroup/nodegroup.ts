import { DescribeNodegroupCommand, type Nodegroup } from '@aws-sdk/client-eks';
import type { V1Node } from '@kubernetes/client-node';
import type { Target } from '../../../domain/target.ts';
import type { ActionContext, Progress, ProgressItem } from '../../../domain/action.ts';
import { HoldpointError } from '../../../domain/errors.ts';
import { cut } from '../../../domain/visible.ts';
import type { Clients } from '../../clients.ts';
import { awsError, messageCharactersMax, withoutFullStop } from '../../failure.ts';
import { listNodes, nodeIsReady } from '../../kubernetes/client/read.ts';

/** The label that EKS puts on every node of a managed node group. */
export const nodegroupLabel = 'eks.amazonaws.com/nodegroup';
/** The tag by which a node group says which run has made it. */
export const runTag = 'holdpoint.dev/run';

/** EKS may not know a group for some seconds after it has taken on to make it: only one that stays away this long is not there. */
const missingLooksMax = 6;
const missingPauseMs = 1_000;

/** A node group as EKS describes it; undefined where it does not exist. Throws `cluster-unknown`, `aws-…` errors. */
export async function findNodegroup(clients: Clients, target: Target, name: string): Promise<Nodegroup | undefined> {
  try {
    const answer = await clients.eks(target.region).send(new DescribeNodegroupCommand({ clusterName: target.name, nodegroupName: name }));
    return answer.nodegroup;
  } catch (error) {
    const known = awsError(error, `DescribeNodegroup ${name}`, target);
    if (isMissing(error, known)) return undefined;
    throw known;
  }
}

/** The same for a node group that may have been asked for only just now: looks for some seconds before it says that there is none. */
export async function findPatiently(
  clients: Clients,
  { target, signal, wait }: Pick<ActionContext, 'target' | 'signal' | 'wait'>,
  name: string,
): Promise<Nodegroup | undefined> {
  for (let look = 1; ; look += 1) {
    signal.throwIfAborted();
    const nodegroup = await findNodegroup(clients, target, name);
    if (nodegroup || look >= missingLooksMax) return nodegroup;
    await wait(missingPauseMs);
  }
}

/** Why a node group is left alone that is deleted only if this run has made it; undefined where it has. */
export function strangerReason({ tags }: Nodegroup, name: string, run: string): string | undefined {
  const maker = tags?.[runTag];
  if (maker === run) return undefined;
  const whose = maker === undefined ? `it carries no tag ${runTag}` : `run ${maker} has`;
  return `Node group ${name} stays as it is: run ${run} has not made it, ${whose}.`;
}

/** Whether EKS knows the cluster but not the node group that it was asked about. */
export function isMissing(error: unknown, known: HoldpointError): boolean {
  return error instanceof Error && error.name === 'ResourceNotFoundException' && known.code !== 'cluster-unknown';
}

/** A node group that must exist. Throws `nodegroup-unknown` where it does not. */
export async function readNodegroup(clients: Clients, target: Target, name: string): Promise<Nodegroup> {
  const nodegroup = await findNodegroup(clients, target, name);
  if (!nodegroup) throw new HoldpointError('nodegroup-unknown', { cluster: target.name, nodegroup: name });
  return nodegroup;
}

/** The nodes of a node group, by name. */
export async function nodesOfNodegroup(clients: Clients, target: Target, name: string): Promise<V1Node[]> {
  const nodes = await listNodes(await clients.kubernetes(target), target.name, `${nodegroupLabel}=${name}`);
  return nodes.sort((a, b) => (a.metadata?.name ?? '').localeCompare(b.metadata?.name ?? '', 'en', { numeric: true }));
}

/** How many nodes of a node group are Ready, node by node. `kept`: the taint that keeps pods off one that is, for now. */
export function readinessProgress(
  nodegroup: string,
  nodes: readonly V1Node[],
  wanted: number,
  kept: (node: V1Node) => string | undefined = () => undefined,
): Progress {
  const items = nodes.map((node): ProgressItem => {
    const taint = kept(node);
    const ready = nodeIsReady(node) && taint === undefined;
    return {
      name: node.metadata?.name ?? '',
      state: ready ? 'done' : 'moving',
      done: ready ? 1 : 0,
      total: 1,
      detail: ready ? undefined : nodeIsReady(node) ? `Ready, but tainted ${taint ?? ''}` : 'not Ready yet',
    };
  });
  const done = items.filter(({ state }) => state === 'done').length;
  return { summary: `${done} of ${wanted} nodes of ${nodegroup} Ready`, done, total: wanted, unit: 'nodes', items };
}

/** What EKS says is wrong with a node group, as part of a sentence; undefined where it is healthy. */
export function healthProblem(nodegroup: Nodegroup): string | undefined {
  const issues = nodegroup.health?.issues ?? [];
  if (issues.length === 0) return undefined;
  return issues
    .map(({ code, message }) => `${code ?? 'Unknown'}: ${withoutFullStop(cut(message ?? 'EKS gives no message', messageCharactersMax))}`)
    .join('; ');
}
