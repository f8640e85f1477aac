import { UpdateNodegroupVersionCommand, type Nodegroup } from '@aws-sdk/client-eks';
import type { V1Node } from '@kubernetes/client-node';
import type { Target } from '../../../domain/target.ts';
import type { ActionContext, Observation, Undo } from '../../../domain/action.ts';
import type { PodView } from '../../../domain/drain/pod.ts';
import type { Blocker, Effect, Risk } from '../../../domain/plan/plan.ts';
import { expectedVersion, type ExpectedChange } from '../../../domain/plan/expected.ts';
import { latestRelease } from '../../../domain/version/ami-release.ts';
import { kubernetesOfRelease, minorVersionOf, sameMinorVersion, skewProblem } from '../../../domain/version/version.ts';
import { actions, type ActionInput } from '../../../runbooks/actions/index.ts';
import { defineAction, emptyPlan, isUntouched, stuckError, type AnyAction, type PlanOf } from '../../action.ts';
import type { Clients } from '../../clients.ts';
import {
  evictionObstacles,
  isAccepted,
  zeroBudgetBlockers,
  zeroBudgetRisks,
  type EvictionObstacles,
} from '../../kubernetes/drain/eviction-blockers.ts';
import { askForUpdate, type WantedUpdate } from '../update/ask-for-update.ts';
import { nodesAdded } from './expected-nodes.ts';
import { findRelease, type AskedRelease } from './releases.ts';
import { findNodegroup, nodesOfNodegroup, readNodegroup } from './nodegroup.ts';
import { readCluster } from '../cluster.ts';
import { readUpdates, updateInProgress } from '../update/read-updates.ts';
import { describeUpdate, foreignUpdate, isAt, isUniform, type UpdateFacts } from '../update/planned-change.ts';
import { observeUpdate } from '../update/watch-update.ts';

/** A managed update takes about five minutes a node: boot, drain, a fixed wait of one minute, termination. */
const estimateMsPerNode = 5 * 60_000;
const noObstacles: EvictionObstacles = { zero: [], blockers: [] };

type UpdateInput = ActionInput<'eks.updateNodegroupVersion'>;

/** `eks.updateNodegroupVersion`: EKS replaces the nodes by its own algorithm; this asks for it and watches. */
export function updateNodegroupVersionAction(clients: Clients): AnyAction {
  return defineAction<UpdateInput, UpdateFacts>({
    declaration: actions['eks.updateNodegroupVersion'],
    plan: (input, context) => planUpdate(clients, input, context),
    observe: (plan, context) => observeUpdate(clients, plan, context),
    act: async (plan, context) => {
      await requireOpenBudgets(clients, plan, context);
      await askForUpdate(clients, wantedUpdate(clients, plan.facts, context), context);
    },
    undo: async ({ facts }, _context, seen) => undoUpdate(facts, seen),
  });
}

function wantedUpdate(clients: Clients, facts: UpdateFacts, { target }: ActionContext): WantedUpdate {
  const { nodegroup: nodegroupName, to, force, waitForUpdate } = facts;
  const versions = { version: to.version ?? undefined, releaseVersion: to.releaseVersion ?? undefined };
  return {
    call: `UpdateNodegroupVersion ${nodegroupName}`,
    owner: { nodegroupName },
    request: { nodegroupName, to, force },
    waitForUpdate,
    send: async (clientRequestToken) => {
      const request = { clusterName: target.name, nodegroupName, ...versions, force, clientRequestToken };
      const { update } = await clients.eks(target.region).send(new UpdateNodegroupVersionCommand(request));
      return update;
    },
    foreign: (update) => foreignUpdate(facts, update),
  };
}

async function planUpdate(clients: Clients, input: UpdateInput, context: ActionContext): Promise<PlanOf<UpdateFacts>> {
  const { target, expected = [] } = context;
  const nodegroup = await readNodegroup(clients, target, input.nodegroup);
  const cluster = await readCluster(clients, target);
  const present = await nodesOfNodegroup(clients, target, input.nodegroup);
  const names = present.map((node) => node.metadata?.name ?? '');
  const updating = nodegroup.status === 'UPDATING';
  const object = `Nodegroup/${target.name}/${input.nodegroup}`;
  const release = await findRelease(clients, { object, amiType: nodegroup.amiType, ...askedRelease(input, nodegroup) }, context);
  const facts: UpdateFacts = {
    nodegroup: input.nodegroup,
    nodegroupArn: nodegroup.nodegroupArn ?? null,
    from: { version: nodegroup.version ?? '', releaseVersion: nodegroup.releaseVersion ?? '' },
    to: { version: input.version ?? null, releaseVersion: release.releaseVersion ?? null },
    // Whoever signs could not keep up with nodes that come and go while the plan waits for the end of an update.
    nodes: updating && input.waitForUpdate ? [] : names,
    force: input.force,
    waitForUpdate: input.waitForUpdate,
  };
  const there = !updating && isAt(nodegroup, facts) && (await isUniform(clients, target, input.nodegroup, present));
  const { zero, blockers } = there || input.force ? noObstacles : await evictionObstacles(clients, target, names);
  return {
    ...emptyPlan(facts),
    effects: there ? [] : updateEffects(object, nodegroup, facts),
    risks: zeroBudgetRisks(
      zero.filter((found) => isAccepted(found, input)),
      waitOfEks,
    ),
    blockers: [
      ...release.blockers,
      ...updateBlockers(object, nodegroup, input, expectedVersion(expected, `Cluster/${target.name}`) ?? cluster.version ?? ''),
      ...zeroBudgetBlockers(zero.filter((found) => !isAccepted(found, input))),
      ...blockers,
    ],
    notes: [
      ...(input.force ? ['force: EKS terminates nodes whose pods it cannot evict within 15 minutes, budgets or not.'] : []),
      ...release.notes,
      ...(there && (input.version ?? input.releaseVersion) !== undefined ? [alreadyThere(nodegroup, facts, release.newest)] : []),
      ...(updating ? [await warningOfUpdate(clients, target, input)] : []),
    ],
    details: { nodes: names },
    outputs: { nodegroup: input.nodegroup, releaseVersion: facts.to.releaseVersion ?? facts.from.releaseVersion },
    expects: there ? [] : updateExpects(object, nodegroup, facts, present),
    estimateMs: there ? 0 : names.length * estimateMsPerNode,
  };
}

/** What EKS does about a budget that allows 0 disruptions: it knows no other deadline. */
function waitOfEks(pods: readonly PodView[]): Pick<Risk, 'detail' | 'remedy'> {
  return {
    detail:
      `EKS cordons the nodes and asks for its pods (${pods.length}) for 15 minutes a node; where they have not gone by then, it gives ` +
      'the whole update up and takes it back, which ends the new nodes after another 15 minutes, whatever PDBs say.',
    remedy: 'Have its owner say that it is changed in time, or rotate the node group instead (node-group-rotation), which waits.',
  };
}

/** Every node is replaced by one like it. */
function updateExpects(
  object: string,
  nodegroup: Nodegroup,
  { nodegroup: name, to }: UpdateFacts,
  present: readonly V1Node[],
): ExpectedChange[] {
  const version = to.version ?? kubernetesOfRelease(to.releaseVersion ?? '') ?? nodegroup.version ?? '';
  return [
    { change: 'version', object, version },
    { change: 'nodes-removed', nodes: present.map(({ metadata }) => metadata?.name ?? '') },
    ...nodesAdded(name, nodegroup, present, present.length),
  ];
}

function updateEffects(object: string, nodegroup: Nodegroup, facts: UpdateFacts): Effect[] {
  const { from, to, nodes } = facts;
  const after = to.releaseVersion ?? `${to.version ?? ''} (newest release)`;
  const group: Effect = isAt(nodegroup, facts)
    ? { object, change: 'bring all of its nodes to its version', after }
    : { object, change: 'update its version', before: from.releaseVersion || from.version, after };
  return [
    group,
    ...nodes.map((node) => ({ object: `Node/${node}`, change: 'replace by a new node (EKS cordons, drains and terminates it)' })),
  ];
}

/** Whoever asks for an update wants one, mostly. */
function alreadyThere({ version = '', releaseVersion = '' }: Nodegroup, { nodegroup, to }: UpdateFacts, newest?: string): string {
  const is = `Node group ${nodegroup} is at ${version} already, release ${releaseVersion}: nothing is updated.`;
  if (newest === releaseVersion) return `${is} There is no newer release of ${version}.`;
  if (to.releaseVersion !== null) return is;
  const newer = newest === undefined ? 'For the newest release of' : `The newest release of ${version} is ${newest}; to go to it within`;
  return `${is} ${newer} ${version}, give \`releaseVersion: ${latestRelease}\`.`;
}

/** Which release is meant, and of which Kubernetes version the nodes will be. */
function askedRelease({ version, releaseVersion }: UpdateInput, nodegroup: Nodegroup): Pick<AskedRelease, 'version' | 'releaseVersion'> {
  return { releaseVersion, version: version ?? kubernetesOfRelease(releaseVersion ?? '') ?? nodegroup.version ?? '' };
}

async function warningOfUpdate(clients: Clients, target: Target, { nodegroup, waitForUpdate }: UpdateInput): Promise<string> {
  const update = updateInProgress(await readUpdates(clients, target, { nodegroupName: nodegroup }));
  const which = update ? describeUpdate(update) : 'an update';
  const then = waitForUpdate ? 'this step waits until it has ended' : 'this step goes no further before it has ended';
  return `Node group ${nodegroup} is UPDATING, by ${which}: ${then}.`;
}

function updateBlockers(object: string, nodegroup: Nodegroup, { version, releaseVersion }: UpdateInput, clusterVersion: string): Blocker[] {
  const blockers: Blocker[] = [];
  const { version: present = '' } = nodegroup;
  const release = nodegroup.releaseVersion ?? present;
  const versions = [...new Set([clusterVersion, present])];
  const wanted = [version, releaseVersion].filter((text): text is string => text !== undefined && text !== latestRelease);
  if (version === undefined && releaseVersion === undefined) {
    const remedy = `Give \`version\` or \`releaseVersion\`, whose form is such as ${release}: people sign what is named.`;
    const reason = `Neither a version nor a release to go to is given; it is at ${release}, the cluster at ${clusterVersion}.`;
    return [{ object, reason, remedy, ofInputs: true }];
  }
  for (const text of wanted) {
    if (!minorVersionOf(text)) {
      const reason = `${JSON.stringify(text)} is no version; it is at ${release}, the cluster at ${clusterVersion}.`;
      blockers.push({ object, reason, remedy: `Name one that exists, in the form of ${release}.`, ofInputs: true });
      continue;
    }
    // A release of Bottlerocket says the version of the operating system.
    if (text === releaseVersion && kubernetesOfRelease(text) === undefined) continue;
    const skew = skewProblem(text, clusterVersion);
    if (skew) {
      const remedy = `Upgrade the control plane first (cluster-upgrade), or choose a release of ${versions.join(' or ')}.`;
      blockers.push({ object, reason: `Version skew: ${skew}.`, remedy, ofInputs: true });
    } else if (!sameMinorVersion(text, clusterVersion) && !sameMinorVersion(text, present)) {
      const reason = `EKS takes it from ${present} to the version of the cluster, ${clusterVersion}, only; ${text} is asked for.`;
      blockers.push({ object, reason, remedy: `Ask for ${versions.join(' or ')}, or a release of it.`, ofInputs: true });
    }
  }
  if (nodegroup.amiType === 'CUSTOM') {
    const remedy = 'Update the launch template instead: EKS does not choose the image of this group.';
    blockers.push({ object, reason: 'It runs a custom image, which has no EKS release.', remedy });
  }
  return blockers;
}

/**
 * A PDB may allow no disruption any more since the plan was made. EKS would give the update up, and on its rollback end new nodes after 15
 * minutes whatever PDBs say (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html), so none is begun, unless people
 * have signed that for this PDB. Throws `action-stuck` with the budget, and `kubernetes-…` errors.
 */
async function requireOpenBudgets(clients: Clients, { facts, risks }: PlanOf<UpdateFacts>, { target }: ActionContext): Promise<void> {
  const { nodegroup, force } = facts;
  // What is in progress already is not begun by asking for it again, and may be this step's own.
  if (force || (await findNodegroup(clients, target, nodegroup))?.status === 'UPDATING') return;
  const nodes = await nodesOfNodegroup(clients, target, nodegroup);
  const names = nodes.map(({ metadata }) => metadata?.name ?? '');
  const { zero, blockers } = await evictionObstacles(clients, target, names);
  const signed = new Set(risks.map(({ object }) => object));
  const shut = zeroBudgetBlockers(zero).filter(({ object }) => !signed.has(object));
  const [blocker] = [...shut, ...blockers];
  if (!blocker) return;
  const reason = `EKS could not empty the nodes of ${nodegroup}, so it was not asked to: ${blocker.object}: ${blocker.reason}`;
  throw stuckError({ state: 'stuck', reason, remedy: blocker.remedy });
}

/**
 * EKS lets a group go back to an older release of the same minor version, never to an older minor version. An update that is
 * still in progress cannot be stopped, so it is waited for.
 */
function undoUpdate({ nodegroup, from, to }: UpdateFacts, seen?: Observation): Undo {
  if (isUntouched(seen)) {
    return {
      nothing: `No update of node group ${nodegroup} has been begun, which is at ${from.releaseVersion || from.version} as before.`,
    };
  }
  const version = kubernetesOfRelease(to.releaseVersion ?? '') ?? to.version ?? from.version;
  if (!sameMinorVersion(from.version, version)) {
    return { noUndo: `EKS does not take the nodes of ${nodegroup} back from ${to.version ?? to.releaseVersion ?? ''} to ${from.version}.` };
  }
  return [{ uses: 'eks.updateNodegroupVersion', with: { nodegroup, releaseVersion: from.releaseVersion, waitForUpdate: true } }];
}
