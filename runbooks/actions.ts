import { z } from 'zod';
import type { ExpressionType } from '../domain/expression.ts';
import type { ActionLimits } from '../domain/runbook.ts';
import { parseDurationMs } from './duration.ts';

/** Nodes that one step may name; more belong into several runs. */
export const nodesMax = 1000;
/** Nodes that may be drained at the same time. */
export const nodesAtOnceMax = 100;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** Budgets may take hours to let the last pod go. */
const drainTimeoutMs = 12 * hourMs;
const heartbeatMs = 10_000;
const attemptsMax = 5;

/** What an action takes, gives and may do: data only. The code that carries it out is in `activities/`. */
export interface ActionDeclaration<Input extends z.ZodObject = z.ZodObject> {
  /** `<system>.<verb>`, e.g. `kubernetes.drain`. */
  name: string;
  /** One sentence for people who look for an action. */
  summary: string;
  /** Shape of `with`, strict: unknown keys are refused. The cluster is never part of it, it comes from the run's target. */
  input: Input;
  /** Whether it changes the world; what only reads needs no signature. */
  changes: boolean;
  /** Whether its changes only add objects that nothing uses yet, so that the start of a run is signature enough. */
  adds: boolean;
  limits: ActionLimits;
  /** What later steps may refer to as `steps.<id>.<name>`. */
  outputs: Record<string, ExpressionType>;
  /** What the question of a hold may refer to as `steps.<id>.plan.<name>`. */
  planFields: Record<string, ExpressionType>;
}

/** Declares an action; keeps the type of its input. `changes` and `adds` are false unless said otherwise. */
export function declareAction<Input extends z.ZodObject>(
  declaration: Omit<ActionDeclaration<Input>, 'limits' | 'planFields' | 'changes' | 'adds'> & {
    timeoutMs: number;
    changes?: boolean;
    adds?: boolean;
    planFields?: Record<string, ExpressionType>;
  },
): ActionDeclaration<Input> {
  const { timeoutMs, changes = false, adds = false, planFields = {}, ...rest } = declaration;
  return {
    ...rest,
    changes,
    adds,
    limits: { timeoutMs, heartbeatMs, attemptsMax },
    planFields: { effects: { type: 'list<dyn>' }, ...planFields },
  };
}

// EKS API, CreateNodegroup: letters, digits, `-` and `_`, not at the beginning; at most 63 characters.
const nodegroupName = z
  .string()
  .max(63)
  .regex(/^[0-9A-Za-z][A-Za-z0-9_-]*$/, 'must be a node group name: letters, digits, `-` and `_`, at most 63');
// RFC 1123 subdomain, as the Kubernetes API asks of node names.
const nodeName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/, 'must be a Kubernetes node name');
// An empty list is one that has been dealt with: a node group that is gone has no nodes.
const nodeNames = z.array(nodeName).max(nodesMax);
const ignoreMissing = z.boolean().default(false).describe('Pass over nodes that do not exist (any more), instead of refusing the step.');
const kubernetesVersion = z.string().regex(/^\d{1,2}\.\d{1,3}$/, 'must be a Kubernetes minor version such as `1.34`');
const releaseVersion = z
  .string()
  .max(128)
  .regex(/^[0-9A-Za-z][0-9A-Za-z._-]*$/, 'must be an AMI release version such as `1.34.1-20261105`');

// AWS takes tag values of up to 256 characters, which the id of a run is on what it has made.
const runId = z.string().min(1).max(256);

const text: ExpressionType = { type: 'string' };
const number: ExpressionType = { type: 'int' };
const listOfText: ExpressionType = { type: 'list<string>' };

const eksPreflight = declareAction({
  name: 'eks.preflight',
  summary: 'Reads the cluster, a node group and its subnets, and refuses to go on where maintenance could not succeed.',
  input: z.strictObject({
    nodegroup: nodegroupName.describe('Node group whose nodes are listed and checked.').optional(),
    minFreeAddresses: z.int().min(0).describe('Free IP addresses that each subnet of the node group must have left.').optional(),
  }),
  timeoutMs: 2 * minuteMs,
  outputs: { version: text, nodes: listOfText, nodegroupVersion: { type: 'string', mayBeAbsent: true } },
});

const eksCreateNodegroup = declareAction({
  name: 'eks.createNodegroup',
  summary: 'Creates a node group with the settings of another one and waits until its nodes are Ready.',
  input: z.strictObject({
    name: nodegroupName.describe('Name of the new node group.'),
    like: nodegroupName.describe('Node group whose settings are copied.'),
    releaseVersion: releaseVersion.describe('AMI release of the new nodes; the latest one if left out.').optional(),
    version: kubernetesVersion.describe('Kubernetes version of the new nodes; that of the cluster if left out.').optional(),
  }),
  changes: true,
  adds: true,
  timeoutMs: 2 * hourMs,
  outputs: { nodegroup: text, nodes: listOfText },
});

const kubernetesCordon = declareAction({
  name: 'kubernetes.cordon',
  summary: 'Marks nodes as unschedulable, so that no new pods come to them.',
  input: z.strictObject({ nodes: nodeNames.describe('Names of the nodes.'), ignoreMissing }),
  changes: true,
  timeoutMs: 5 * minuteMs,
  outputs: { nodes: listOfText },
});

const kubernetesUncordon = declareAction({
  name: 'kubernetes.uncordon',
  summary: 'Lifts the cordons that this run has set; those of others stay.',
  input: z.strictObject({ nodes: nodeNames.describe('Names of the nodes.'), ignoreMissing }),
  changes: true,
  timeoutMs: 5 * minuteMs,
  outputs: { nodes: listOfText },
});

// As Kubernetes writes such settings: a number, or a share of all.
const share = z.string().regex(/^([1-9]\d?|100)%$/, 'must be a number of nodes or a share such as `25%`');
const nodesAtOnce = z.union([z.int().min(1).max(nodesAtOnceMax), share]);
const duration = z
  .string()
  .refine((text) => (parseDurationMs(text) ?? 0) > 0, { error: 'must be a duration such as 90s, 15m or 4h' })
  .refine((text) => (parseDurationMs(text) ?? 0) <= drainTimeoutMs, { error: 'must be 12 hours at most' });

const kubernetesDrain = declareAction({
  name: 'kubernetes.drain',
  summary: 'Cordons all of the nodes, then evicts their pods within every PodDisruptionBudget.',
  input: z
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
      jobs: z.enum(['wait', 'evict']).default('wait').describe('Whether pods of Jobs are waited for or evicted.'),
      daemonSets: z
        .enum(['leave', 'evict'])
        .default('leave')
        .describe('Whether pods of DaemonSets stay on the nodes or are evicted once all others have gone.'),
      gracePeriodSeconds: z.int().min(0).max(86_400).describe('Time that pods have to end, instead of their own.').optional(),
      podDeadline: duration
        .describe('How long a pod may wait to be evicted, or be past its grace period, until onDeadline applies.')
        .optional(),
      nodeDeadline: duration.describe('How long a node may take until onDeadline applies to the pods that are left.').optional(),
      onDeadline: z
        .enum(['stuck', 'delete'])
        .default('stuck')
        .describe('After a deadline: stop and ask, or delete what is left, whatever keeps it; the signed plan says so.'),
    })
    .refine(({ onDeadline, podDeadline, nodeDeadline }) => onDeadline === 'stuck' || (podDeadline ?? nodeDeadline) !== undefined, {
      path: ['onDeadline'],
      error: '`delete` needs a podDeadline or a nodeDeadline',
    }),
  changes: true,
  timeoutMs: drainTimeoutMs,
  outputs: { nodes: listOfText, podsMoved: number },
  planFields: { pods: number, nodes: listOfText },
});

const eksDeleteNodegroup = declareAction({
  name: 'eks.deleteNodegroup',
  summary: 'Deletes a node group and waits until it is gone; drains its nodes first if it is told to.',
  input: z.strictObject({
    nodegroup: nodegroupName.describe('Name of the node group.'),
    drain: z.boolean().default(false).describe('Cordon its nodes and evict their pods first, within every PodDisruptionBudget.'),
    createdBy: runId.describe('Id of a run: the node group is deleted only if that run has made it.').optional(),
  }),
  changes: true,
  timeoutMs: drainTimeoutMs + 2 * hourMs,
  outputs: { nodegroup: text },
});

const eksUpdateNodegroupVersion = declareAction({
  name: 'eks.updateNodegroupVersion',
  summary: 'Has EKS replace the nodes of a managed node group by nodes of another version.',
  input: z.strictObject({
    nodegroup: nodegroupName.describe('Name of the node group.'),
    version: kubernetesVersion.describe('Kubernetes version to go to; this or releaseVersion must be given.').optional(),
    releaseVersion: releaseVersion.describe('AMI release to go to; this or version must be given.').optional(),
    force: z.boolean().default(false).describe('Let EKS terminate nodes whose pods cannot be evicted within 15 minutes.'),
    waitForUpdate: z
      .boolean()
      .default(false)
      .describe('Wait for the end of an update that is in progress already, instead of stopping there.'),
  }),
  changes: true,
  timeoutMs: 2 * hourMs,
  outputs: { nodegroup: text, releaseVersion: text },
});

/** Every action that a runbook can use, by name. */
export const actions = {
  'eks.preflight': eksPreflight,
  'eks.createNodegroup': eksCreateNodegroup,
  'kubernetes.cordon': kubernetesCordon,
  'kubernetes.uncordon': kubernetesUncordon,
  'kubernetes.drain': kubernetesDrain,
  'eks.deleteNodegroup': eksDeleteNodegroup,
  'eks.updateNodegroupVersion': eksUpdateNodegroupVersion,
} as const;

export type ActionName = keyof typeof actions;

/** The input of an action after zod has checked it and filled in the defaults. */
export type ActionInput<Name extends ActionName> = z.output<(typeof actions)[Name]['input']>;

/** Finds the declaration of an action by its name. */
export function findAction(name: string): ActionDeclaration | undefined {
  return Object.hasOwn(actions, name) ? actions[name as ActionName] : undefined;
}

/** The names of all actions. */
export function actionNames(): ActionName[] {
  return Object.keys(actions) as ActionName[];
}
