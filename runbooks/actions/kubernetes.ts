import * as z from 'zod';
import { parseDurationMs } from '../configuration/duration.ts';
import { declareAction, hourMs, listOfText, minuteMs, number, text, type SystemDeclaration } from './declaration.ts';
import { backupName, retentionInput } from './etcd.ts';

/** Nodes that one step may name; more belong into several runs. */
export const nodesMax = 1000;
/** Kubernetes makes UIDs of 36 characters. */
const uidCharactersMax = 128;
/** Nodes that may be drained at the same time. */
export const nodesAtOnceMax = 100;
/** PodDisruptionBudgets may take hours to let the last pod go. */
const drainTimeoutMs = 12 * hourMs;
// RFC 1123 subdomain, as the Kubernetes API asks of node names.
export const nodeName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/, 'must be a Kubernetes node name');
// An empty list is one that has been dealt with: a node group that is gone has no nodes. One that is written out is a mistake,
// which the JSON Schema says to the compiler and to editors.
const nodeNames = z.array(nodeName).max(nodesMax).meta({ minItems: 1 });
const ignoreMissing = z.boolean().default(false).describe('Pass over nodes that do not exist (any more), instead of refusing the step.');
const uids = z
  .record(nodeName, z.string().min(1).max(uidCharactersMax))
  .refine((nodes) => Object.keys(nodes).length <= nodesMax, { error: `may name ${nodesMax} nodes at most` })
  .describe('UIDs of the nodes by name: a node that has another one counts as missing.')
  .optional();
// As Kubernetes writes such settings: a number, or a share of all.
const share = z.string().regex(/^([1-9]\d?|100)%$/, 'must be a number of nodes or a share such as `25%`');
const nodesAtOnce = z.union([z.int().min(1).max(nodesAtOnceMax), share]);
const duration = z
  .string()
  .refine((text) => (parseDurationMs(text) ?? 0) > 0, { error: 'must be a duration such as 90s, 15m or 4h' })
  .refine((text) => (parseDurationMs(text) ?? 0) <= drainTimeoutMs, { error: 'must be 12 hours at most' });

/** What an API server has answered it also shows: a mark is looked for right after it was set. */
const markPace = { lookMinMs: 10, lookMaxMs: 2_000 };

/** Whatever has a Kubernetes API. */
const worksOn = ['eks', 'kubernetes'];

const kubernetesCordon = declareAction({
  name: 'kubernetes.cordon',
  summary: 'Marks nodes as unschedulable, so that no new pods come to them.',
  worksOn,
  input: z.strictObject({ nodes: nodeNames.describe('Names of the nodes.'), uids, ignoreMissing }),
  change: 'changes',
  undo: { does: 'lifts the cordons that it has set' },
  limits: { timeoutMs: 5 * minuteMs, pace: markPace },
  outputs: { nodes: listOfText },
});

const kubernetesUncordon = declareAction({
  name: 'kubernetes.uncordon',
  summary: 'Lifts the cordons that this run has set; those of others stay.',
  worksOn,
  input: z.strictObject({ nodes: nodeNames.describe('Names of the nodes.'), uids, ignoreMissing }),
  change: 'changes',
  undo: { does: 'cordons the nodes again' },
  limits: { timeoutMs: 5 * minuteMs, pace: markPace },
  outputs: { nodes: listOfText },
});

/** How nodes are drained: settings of a drain are declared here, and nowhere else. */
const drainInput = z
  .strictObject({
    nodes: nodeNames.describe('Names of the nodes.'),
    nodesAtOnce: nodesAtOnce
      .default(1)
      .describe('How many nodes are drained at the same time: a number, or a share of all, rounded down, to one at least.'),
    perZone: z
      .boolean()
      .default(false)
      .describe('Count nodesAtOnce in each availability zone by itself; a share is then one of the zone with the fewest nodes.'),
    alsoCordoned: z.boolean().default(false).describe('Also drain nodes that somebody else has cordoned.'),
    deleteEmptyDirData: z
      .boolean()
      .default(false)
      .describe('Also evict pods whose emptyDir volumes are lost by it, or whose local persistent volumes stay behind.'),
    force: z.boolean().default(false).describe('Also evict pods that no controller brings back.'),
    singletons: z
      .enum(['evict', 'surge'])
      .default('evict')
      .describe('What becomes of the only pod of a workload: evicted, or replaced by a rollout that starts the new one first.'),
    statefulSets: z
      .enum(['oneAtATime', 'budget'])
      .default('oneAtATime')
      .describe(
        'Whether the pods of a StatefulSet move one at a time, or as many as its PDB allows, in any order; without a PDB one at a time.',
      ),
    jobs: z
      .enum(['wait', 'evict'])
      .default('wait')
      .describe('Whether pods that do a piece of work (of Jobs, Workflows, TaskRuns and the like) are waited for or evicted.'),
    daemonSets: z
      .enum(['leave', 'evict'])
      .default('leave')
      .describe('Whether pods of DaemonSets stay on the nodes or are evicted once all others have gone.'),
    zeroBudgets: z
      .enum(['block', 'wait'])
      .default('block')
      .describe(
        'What a PDB means that allows 0 disruptions however many pods are healthy: the plan is blocked, or its pods are asked ' +
          'for now and then until its owner changes it. Those of operators that are no part of Kubernetes are waited for in any case.',
      ),
    gracePeriodSeconds: z.int().min(0).max(86_400).describe('Seconds that pods have to end, instead of their own.').optional(),
    podDeadline: duration
      .describe('How long a pod may wait to be evicted, or be past its grace period, until onDeadline applies.')
      .optional(),
    nodeDeadline: duration.describe('How long a node may take until onDeadline applies to the pods that are left.').optional(),
    unschedulableLimit: duration
      .default('10m')
      .describe('How long new pods may find no node until the drain stops and asks; their workload is not touched meanwhile.'),
    onDeadline: z
      .enum(['stuck', 'delete'])
      .default('stuck')
      .describe('After a deadline: stop and ask, or delete what is left, whatever keeps it; the signed plan says so.'),
  })
  .refine(({ onDeadline, podDeadline, nodeDeadline }) => onDeadline === 'stuck' || (podDeadline ?? nodeDeadline) !== undefined, {
    path: ['onDeadline'],
    error: '`delete` needs a podDeadline or a nodeDeadline',
  });

const kubernetesDrain = declareAction({
  name: 'kubernetes.drain',
  summary: 'Cordons all of the nodes, then evicts their pods within every PodDisruptionBudget.',
  worksOn,
  input: drainInput,
  dangers: ({ nodesAtOnce, alsoCordoned, deleteEmptyDirData, force, jobs, daemonSets, ...limits }) => ({
    nodesAtOnce: nodesAtOnce === 1 ? undefined : `up to ${nodesAtOnce} of the nodes are emptied at the same time`,
    alsoCordoned: alsoCordoned ? 'nodes that somebody else has cordoned are drained, too' : undefined,
    deleteEmptyDirData: deleteEmptyDirData ? 'data in emptyDir volumes and on local volumes is lost' : undefined,
    force: force ? 'pods that no controller brings back are evicted, and are gone for good' : undefined,
    jobs: jobs === 'evict' ? 'pods of Jobs are evicted before they have ended, and their work so far is lost' : undefined,
    daemonSets: daemonSets === 'evict' ? 'pods of DaemonSets are evicted, too' : undefined,
    ...dangersOfDeadlines(limits),
  }),
  change: 'changes',
  undo: { does: 'lifts the cordons that it has set; pods that were moved stay where they are' },
  limits: { timeoutMs: drainTimeoutMs },
  outputs: { nodes: listOfText, podsMoved: number, podEnds: { type: 'list<dyn>', mayBeAbsent: true } },
  planFields: { pods: number, nodes: listOfText },
});

const kubernetesCheckDrain = declareAction({
  name: 'kubernetes.checkDrain',
  summary: 'Refuses to go on where a drain of these nodes with these settings would be blocked as things are now; changes nothing.',
  worksOn,
  input: drainInput,
  change: 'reads',
  limits: { timeoutMs: 5 * minuteMs },
  outputs: {},
  planFields: { pods: number, nodes: listOfText },
});

const kubernetesAwaitReboot = declareAction({
  name: 'kubernetes.awaitReboot',
  summary: 'Waits until nodes have been rebooted, by whomever, and are Ready again: until their kubelets tell of another boot.',
  worksOn,
  input: z.strictObject({
    nodes: nodeNames.describe('Names of the nodes.'),
    within: duration.default('2h').describe('How long that may take until the step stops and asks.'),
  }),
  change: 'reads',
  limits: { timeoutMs: drainTimeoutMs },
  outputs: { nodes: listOfText },
});

const kubernetesFindNodes = declareAction({
  name: 'kubernetes.findNodes',
  summary: 'Finds the nodes of an availability zone, for the steps after it.',
  worksOn,
  input: z.strictObject({
    zone: z.string().min(1).max(63).describe('The availability zone, as the label topology.kubernetes.io/zone of nodes names it.'),
  }),
  change: 'reads',
  limits: { timeoutMs: 5 * minuteMs },
  outputs: { nodes: listOfText },
});

function dangersOfDeadlines(input: {
  gracePeriodSeconds?: number;
  podDeadline?: string;
  nodeDeadline?: string;
  onDeadline: 'stuck' | 'delete';
}): { [setting: string]: string | undefined } {
  const { gracePeriodSeconds: seconds, podDeadline, nodeDeadline, onDeadline } = input;
  const grace = seconds === 0 ? 'pods are killed at once, without any time to end' : `pods have ${seconds} s to end, whatever they ask for`;
  const after = [podDeadline && `${podDeadline} for a pod`, nodeDeadline && `${nodeDeadline} for a node`].filter(Boolean).join(' and ');
  const deleted = `after ${after}, what is left is deleted past its PodDisruptionBudget, whatever keeps it`;
  return { gracePeriodSeconds: seconds === undefined ? undefined : grace, onDeadline: onDeadline === 'delete' ? deleted : undefined };
}

const kubernetesHoldKarpenter = declareAction({
  name: 'kubernetes.holdKarpenter',
  summary: 'Keeps Karpenter from replacing nodes (drift, consolidation) until it is released or the run ends; nothing without Karpenter.',
  worksOn,
  input: z.strictObject({}),
  change: 'changes',
  undo: { does: 'takes the disruption budgets that it has added away' },
  limits: { timeoutMs: 5 * minuteMs, pace: markPace },
  outputs: { nodePools: number },
});

const kubernetesReleaseKarpenter = declareAction({
  name: 'kubernetes.releaseKarpenter',
  summary: 'Takes the disruption budgets away by which this run holds Karpenter; those of others stay.',
  worksOn,
  input: z.strictObject({}),
  change: 'changes',
  undo: { does: 'holds Karpenter again' },
  limits: { timeoutMs: 5 * minuteMs, pace: markPace },
  outputs: { nodePools: number },
});

/** Types that one step may leave out or name. */
const typesNamedMax = 100;
// `pods`, `deployments.apps`: a resource, and its group behind the first dot.
const typeName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]+(\.[a-z0-9][-a-z0-9.]*)?$/, 'must be a type such as pods or deployments.apps');

const kubernetesBackup = declareAction({
  name: 'kubernetes.backup',
  summary:
    'Reads all objects of a cluster as they were at one revision, encrypts and stores them, reads them back, and writes the manifest last.',
  worksOn,
  input: z.strictObject({
    leaveOut: z
      .array(typeName)
      .max(typesNamedMax)
      .default([])
      .describe('Types that the backup does not have, such as events or leases.coordination.k8s.io; none if left out.'),
  }),
  change: 'adds',
  undo: { none: 'A backup that was made stays.' },
  // 200,000 objects over a slow line, and a slow way to the bucket.
  limits: { timeoutMs: 2 * hourMs },
  outputs: { backup: text, clusterId: text, revision: number, takenAt: text, objects: number, consistency: text },
});

const namespaceName = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, 'must be the name of a namespace');
const objectName = z
  .string()
  .max(520)
  .regex(/^[a-z0-9]+(\.[a-z0-9][-a-z0-9.]*)?\/[^/%\s]+$/, 'must be a type and a name such as deployments.apps/web');
const namespacesNamedMax = 100;
const objectsNamedMax = 500;

const kubernetesRestore = declareAction({
  name: 'kubernetes.restore',
  summary: 'Puts objects of a backup back: named ones, those of namespaces, or all; compares first, applies in order, and compares again.',
  worksOn,
  input: z.strictObject({
    backup: backupName.describe('The backup by its name; the newest if left out.').optional(),
    from: z
      .string()
      .min(1)
      .max(253)
      .describe('The target whose backup it is, where that is another cluster than the one of the run.')
      .optional(),
    whole: z.literal(true).describe('Restores all objects of the cluster.').optional(),
    namespaces: z
      .array(namespaceName)
      .min(1)
      .max(namespacesNamedMax)
      .describe('Restores these namespaces with what is in them, or finds `objects` in the one that is named.')
      .optional(),
    objects: z
      .array(objectName)
      .min(1)
      .max(objectsNamedMax)
      .describe('Restores these objects only, such as deployments.apps/web.')
      .optional(),
    existing: z
      .enum(['keep', 'update'])
      .default('keep')
      .describe('Whether objects that are there and are different are left as they are, or changed back; keep if left out.'),
    intoRunning: z.boolean().default(false).describe('Also restore into namespaces in which pods run.'),
  }),
  conflict: ({ whole, namespaces, objects }) => {
    if (whole === undefined && namespaces === undefined && objects === undefined)
      return 'say what to restore: `whole`, `namespaces` or `objects`';
    if (whole !== undefined && (namespaces ?? objects) !== undefined) return '`whole` restores everything, so it goes with nothing else';
    return objects !== undefined && Array.isArray(namespaces) && namespaces.length > 1 ? '`objects` are found in one namespace' : undefined;
  },
  change: 'changes',
  dangers: ({ existing, intoRunning, from }) => ({
    existing:
      existing === 'update' ? 'objects that others have changed since the backup are changed back, past whoever manages them' : undefined,
    intoRunning: intoRunning ? 'it changes namespaces in which pods run' : undefined,
    from: from === undefined ? undefined : 'the objects are those of another cluster, or of an earlier one of this name',
  }),
  undo: { none: 'Objects that were restored stay; delete them by hand, or restore a backup that was made before.' },
  limits: { timeoutMs: 2 * hourMs },
  outputs: { backup: text, restored: number, kept: number, different: number },
});

const kubernetesDeleteBackups = declareAction({
  name: 'kubernetes.deleteBackups',
  summary: 'Deletes old backups of objects, never the newest or a pinned one, and none while new backups fail. Their manifests stay.',
  worksOn,
  input: retentionInput,
  change: 'destroys',
  undo: { none: 'The files of the backups are gone.' },
  limits: { timeoutMs: hourMs },
  outputs: { deleted: number },
});

/** Kubernetes clusters of any kind, and what can be done to their nodes. */
export const kubernetes = {
  name: 'kubernetes',
  targets: [
    {
      kind: 'kubernetes',
      name: {
        title: 'name',
        pattern: /^[a-z0-9][a-z0-9._-]{0,62}$/,
        refusal: 'is no name of a cluster: 1 to 63 small letters, digits, "-", "_" and ".", the first a letter or digit',
        example: 'lab',
      },
      configuredIn: 'clusters',
    },
  ],
  actions: {
    'kubernetes.cordon': kubernetesCordon,
    'kubernetes.uncordon': kubernetesUncordon,
    'kubernetes.drain': kubernetesDrain,
    'kubernetes.checkDrain': kubernetesCheckDrain,
    'kubernetes.findNodes': kubernetesFindNodes,
    'kubernetes.awaitReboot': kubernetesAwaitReboot,
    'kubernetes.holdKarpenter': kubernetesHoldKarpenter,
    'kubernetes.releaseKarpenter': kubernetesReleaseKarpenter,
    'kubernetes.backup': kubernetesBackup,
    'kubernetes.restore': kubernetesRestore,
    'kubernetes.deleteBackups': kubernetesDeleteBackups,
  },
} as const satisfies SystemDeclaration;
