import { basename, dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { DescribeNodegroupCommand, ListNodegroupsCommand, type EKSClient } from '@aws-sdk/client-eks';
import type { RunState } from '../../domain/run/state.ts';
import { createEvidenceDirectory } from '../../activities/evidence/directory.ts';
import type { EvidenceEntry } from '../../domain/evidence/evidence.ts';
import type { Effect } from '../../domain/plan/plan.ts';
import type { Leftover } from '../../sandbox/leftovers.ts';
import type { Sandbox } from '../../sandbox/server.ts';
import type { Others } from './others.ts';

/** How long a world may take, once the run is over, to finish what controllers and EKS have begun. */
const settleDefaultMs = 60_000;
const settlePauseMs = 100;
const groupPrefix = 'Nodegroup/';
const undoPrefix = 'undo:';
const restStatuses = ['ACTIVE', 'CREATE_FAILED', 'DELETE_FAILED', 'DEGRADED'];

/** A node group as far as a run may change it. */
interface Group {
  arn: string;
  status: string;
  releaseVersion: string;
  size: number;
  /** Versions of its kubelets. */
  kubelets: string[];
}

/** The node groups of a cluster by name. */
export type Groups = ReadonlyMap<string, Group>;

/** What a step has done to a node group, as the record of its run has it. */
interface Touch {
  step: string;
  uses: string;
  wanted: Effect;
  /** `seen`: a look has shown it done; `said`: people have signed that it was done by hand, or that it is left out. */
  end: 'seen' | 'said' | 'none';
}

/** Where to look, and what is not the fault of the run. */
export interface Premises {
  sandbox: Sandbox;
  cluster: string;
  eks: EKSClient;
  /** The node groups before the run. */
  before: Groups;
  others: Pick<Others, 'cordoned' | 'updated'>;
  /** How long its world may take to come to rest, if not as long as a minute. */
  settleMaxMs?: number;
}

/** Reads the node groups of a cluster; nothing must go wrong in its world meanwhile. */
export async function groupsOf({ world }: Sandbox, clusterName: string, eks: EKSClient): Promise<Groups> {
  const { nodegroups = [] } = await eks.send(new ListNodegroupsCommand({ clusterName }));
  const nodes = world.cluster(clusterName)?.store.list('nodes') ?? [];
  const groups = new Map<string, Group>();
  for (const nodegroupName of nodegroups) {
    const found = await eks.send(new DescribeNodegroupCommand({ clusterName, nodegroupName })).catch(() => undefined);
    if (!found?.nodegroup) continue;
    const { nodegroupArn: arn = '', status = '', releaseVersion = '', scalingConfig } = found.nodegroup;
    const own = nodes.filter(({ metadata }) => metadata.labels?.['eks.amazonaws.com/nodegroup'] === nodegroupName);
    const kubelets = [...new Set(own.map(({ status }) => status.nodeInfo?.kubeletVersion ?? ''))].sort();
    groups.set(nodegroupName, { arn, status, releaseVersion, size: scalingConfig?.desiredSize ?? 0, kubelets });
  }
  return groups;
}

/**
 * What a run has left in its world, once that has come to rest: marks and cordons, pods without a place, and node groups that are
 * neither as they were nor as the run says that it leaves them.
 */
export async function leftoversOf(
  { sandbox, cluster, eks, before, others, settleMaxMs = settleDefaultMs }: Premises,
  state: RunState | undefined,
): Promise<string[]> {
  const touches = state ? touchesIn(await entriesOf(state)) : [];
  const giveUpAtMs = performance.now() + settleMaxMs;
  for (;;) {
    const after = await groupsOf(sandbox, cluster, eks);
    const things = sandbox.world.leftovers().leftovers.filter((one) => !isOfOthers(one, others) && !isSizeTold(one, state));
    const groups = groupLeftovers(before, after, touches, others, state);
    const found = [...things.map(({ kind, object, sentence }) => `${kind}: ${object}: ${sentence}`), ...groups];
    const isAtRest = [...after.values()].every(({ status }) => restStatuses.includes(status));
    if ((found.length === 0 && isAtRest) || performance.now() > giveUpAtMs) return found;
    await wait(settlePauseMs);
  }
}

/** Cordons that somebody else has set are theirs; node groups are looked at more closely than the sandbox does. */
function isOfOthers({ kind, object }: Leftover, { cordoned }: Premises['others']): boolean {
  return kind === 'nodegroup' || (kind === 'cordon' && [...cordoned].some((node) => object.endsWith(` ${node}`)));
}

/** The size of an Auto Scaling group that a run which was not done owns up to. What it has suspended, and its tag, must go in any case. */
function isSizeTold({ kind, object, sentence }: Leftover, state: RunState | undefined): boolean {
  if (kind !== 'auto-scaling-group' || !sentence.startsWith('Its sizes') || state?.phase === 'done') return false;
  const group = object.split(' ').at(-1) ?? '';
  return (state?.ended?.leftovers ?? []).some((told) => told.includes(group));
}

/** The record of a run. */
export function entriesOf({ evidence }: RunState): Promise<EvidenceEntry[]> {
  return createEvidenceDirectory(dirname(evidence)).read(basename(evidence));
}

function touchesIn(entries: readonly EvidenceEntry[]): Touch[] {
  const touches: Touch[] = [];
  for (const { kind, body } of entries) {
    const {
      step,
      uses,
      effects = [],
      signedBy,
    } = body as unknown as { step: string; uses: string; effects?: Effect[]; signedBy?: string[] };
    const wanted = effects.find(({ object }) => object.startsWith(groupPrefix));
    if (kind === 'step.started' && wanted) touches.push({ step, uses, wanted, end: 'none' });
    const last = touches.findLast((touch) => touch.step === step);
    if (last && kind === 'step.done') last.end = signedBy !== undefined && signedBy.length > 0 ? 'said' : 'seen';
    if (last && kind === 'step.skipped') last.end = 'said';
  }
  return touches;
}

function groupLeftovers(
  before: Groups,
  after: Groups,
  touches: readonly Touch[],
  others: Premises['others'],
  state: RunState | undefined,
): string[] {
  const nameOf = ({ wanted }: Touch): string => wanted.object.split('/').at(-1) ?? '';
  return [...new Set([...before.keys(), ...after.keys(), ...touches.map(nameOf)])].flatMap((name) => {
    const own = touches.filter((touch) => nameOf(touch) === name);
    const [was, is] = [before.get(name), after.get(name)];
    const change = changeOf(was, is, others.updated.has(name));
    const excuse = change !== undefined && isTold(own, state);
    const unmet = state?.phase === 'done' ? unmetOf(own.at(-1), is, others.updated.has(name)) : undefined;
    return [
      ...(change === undefined || excuse ? [] : [`node group ${name}: ${change}, and the run says nothing of it`]),
      ...(unmet === undefined ? [] : [`node group ${name}: ${unmet}`]),
    ];
  });
}

/** How a node group differs from what it was; its releases do not count where somebody else has changed them as well. */
function changeOf(was: Group | undefined, is: Group | undefined, isUpdated: boolean): string | undefined {
  if (!was || !is) return was === is ? undefined : is ? 'it was not there' : 'it is gone';
  if (was.arn !== is.arn) return 'it is another one';
  if (was.size !== is.size) return `it was to have ${was.size} nodes and is to have ${is.size}`;
  if (isUpdated) return undefined;
  if (was.releaseVersion !== is.releaseVersion) return `it was at ${was.releaseVersion} and is at ${is.releaseVersion}`;
  const [kubeletsBefore, kubelets] = [was.kubelets.join(', '), is.kubelets.join(', ')];
  return kubeletsBefore === kubelets ? undefined : `its nodes were ${kubeletsBefore} and are ${kubelets}`;
}

/** Whether a run that has not undone a change owns up to it: it has done it, or names it among what it leaves, or people signed for it. */
function isTold(touches: readonly Touch[], state: RunState | undefined): boolean {
  if (!state || touches.length === 0) return false;
  if (state.phase === 'done') return true;
  const leftovers = state.ended?.leftovers ?? [];
  return touches.some(({ step, end }) => {
    if (step.startsWith(undoPrefix)) return end === 'said';
    const said = leftovers.filter((sentence) => sentence.startsWith(`step ${step} `));
    return said.some((sentence) => state.phase !== 'undone' || sentence.includes(' stays: '));
  });
}

/** What a step was seen to have done last to a node group, and is not so. */
function unmetOf(last: Touch | undefined, is: Group | undefined, isUpdated: boolean): string | undefined {
  if (!last || last.end !== 'seen') return undefined;
  const { step, uses, wanted } = last;
  if (uses === 'eks.deleteNodegroup') return is ? `step ${step} was to delete it, and it is there` : undefined;
  if (!is) return `step ${step} was to make or update it, and it is not there`;
  if (isUpdated) return undefined;
  const { after } = wanted;
  const release = typeof after === 'string' ? after : (after as { releaseVersion?: string } | undefined)?.releaseVersion;
  const newest = /^(\d+\.\d+) \(newest release\)$/.exec(release ?? '')?.[1];
  const isThere = newest === undefined ? release === is.releaseVersion : is.releaseVersion.startsWith(`${newest}.`);
  return release === undefined || isThere ? undefined : `step ${step} was to bring it to ${release}, and it is at ${is.releaseVersion}`;
}
