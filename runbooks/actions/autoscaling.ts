import * as z from 'zod';
import { declareAction, hourMs, listOfText, minuteMs, number, text, type SystemDeclaration } from './declaration.ts';
import { nodeName } from './kubernetes.ts';

const worksOn = ['eks'];
// Auto Scaling API, CreateAutoScalingGroup.
const groupName = z.string().min(1).max(255).describe('Name of the Auto Scaling group.');
const instanceId = z.string().regex(/^i-[0-9a-f]{8,17}$/, 'must be the id of an instance such as i-0abc1234def567890');
const templateVersion = z
  .string()
  .regex(/^(\d{1,9}|\$Latest|\$Default)$/, 'must be the version of a launch template: a number, `$Latest` or `$Default`');
/** Auto Scaling user guide, "Quotas": what a group has at most unless AWS has allowed more. */
const sizeMax = 10_000;
const surgeMax = 100;
/** Instances that one step may end. */
const instancesMax = 100;
const share = z.string().regex(/^([1-9]\d?|100)%$/, 'must be a number of nodes or a share such as `25%`');
const podsLeft = z
  .enum(['refuse', 'accept'])
  .default('refuse')
  .describe('What it means that pods still run on the node: the step stops, or people sign that they are lost with it.');
const dangersOfPods = ({ podsLeft: left }: { podsLeft: string }) => ({
  podsLeft: left === 'accept' ? 'pods that still run on the node are killed with it, past their PodDisruptionBudgets' : undefined,
});

const autoscalingFindNodes = declareAction({
  name: 'autoscaling.findNodes',
  summary: 'Finds the nodes of an Auto Scaling group that are not of a version of its launch template, and cuts them into batches.',
  worksOn,
  input: z.strictObject({
    group: groupName,
    launchTemplateVersion: templateVersion
      .describe('Version of the launch template that nodes are to have; the one that the group names if left out.')
      .optional(),
    surge: z
      .union([z.int().min(1).max(surgeMax), share])
      .default('100%')
      .describe('How many nodes a batch has: a number, or a share of those that go, rounded down, to one at least.'),
    canary: z.int().min(1).max(surgeMax).describe('How many nodes go first, in a batch of their own; none do if left out.').optional(),
  }),
  change: 'reads',
  limits: { timeoutMs: 5 * minuteMs },
  outputs: { nodes: listOfText, batches: { type: 'list<dyn>' }, sizeMax: number, version: text },
  planFields: { nodes: listOfText, batches: number },
});

const autoscalingHold = declareAction({
  name: 'autoscaling.hold',
  summary: 'Keeps an Auto Scaling group from ending and bringing nodes by itself, and lets it grow, until it is released or the run ends.',
  worksOn,
  input: z.strictObject({
    group: groupName,
    sizeMax: z
      .int()
      .min(0)
      .max(sizeMax)
      .describe('How many instances the group must be allowed to have; its largest size is raised to it.'),
  }),
  change: 'changes',
  undo: { does: 'resumes the processes that it has suspended, and takes the largest size back' },
  limits: { timeoutMs: 5 * minuteMs },
  outputs: { group: text },
});

const autoscalingRelease = declareAction({
  name: 'autoscaling.release',
  summary: 'Resumes the processes that this run has suspended and takes the largest size back; what others have suspended stays.',
  worksOn,
  input: z.strictObject({ group: groupName }),
  change: 'changes',
  undo: { does: 'holds the group again' },
  limits: { timeoutMs: 5 * minuteMs },
  outputs: { group: text },
});

const autoscalingSetLaunchTemplate = declareAction({
  name: 'autoscaling.setLaunchTemplate',
  summary: 'Has an Auto Scaling group start its next instances with another version of its launch template.',
  worksOn,
  input: z.strictObject({ group: groupName, version: templateVersion.describe('The version: a number, `$Latest` or `$Default`.') }),
  change: 'changes',
  undo: { does: 'names the version that it had before' },
  limits: { timeoutMs: 5 * minuteMs },
  outputs: { group: text, version: text },
});

const autoscalingScaleUp = declareAction({
  name: 'autoscaling.scaleUp',
  summary: 'Has an Auto Scaling group start instances up to a size, and waits until their nodes are Ready.',
  worksOn,
  input: z.strictObject({
    group: groupName,
    to: z.int().min(1).max(sizeMax).describe('How many instances it is to have.'),
    beside: z
      .array(nodeName)
      .max(instancesMax)
      .describe('Nodes beside which the new ones come: where none of them is there any more, nothing is started.')
      .optional(),
  }),
  change: 'adds',
  undo: { does: 'drains the nodes that have come, and ends their instances' },
  limits: { timeoutMs: 2 * hourMs },
  outputs: { group: text, nodes: listOfText },
});

const autoscalingTerminate = declareAction({
  name: 'autoscaling.terminate',
  summary: 'Ends instances of an Auto Scaling group whose nodes carry no workload (any more), and makes the group smaller by as many.',
  worksOn,
  input: z.strictObject({
    group: groupName,
    nodes: z.array(nodeName).max(instancesMax).describe('Names of the nodes whose instances are ended.').optional(),
    instances: z.array(instanceId).max(instancesMax).describe('Ids of the instances, where they have no nodes yet.').optional(),
    sizeAfter: z
      .int()
      .min(0)
      .max(sizeMax)
      .describe('How many instances it is to have at the end: those that it still waits for beyond that are given up.')
      .optional(),
  }),
  conflict: ({ nodes, instances }) => (nodes === undefined && instances === undefined ? 'say `nodes` or `instances`' : undefined),
  change: 'destroys',
  undo: { none: 'instances that are ended do not come back' },
  limits: { timeoutMs: 2 * hourMs },
  outputs: { group: text },
});

const autoscalingReplace = declareAction({
  name: 'autoscaling.replace',
  summary:
    'Ends the instance of a node, so that its Auto Scaling group or managed node group brings another one, and waits until that is Ready.',
  worksOn,
  input: z.strictObject({ node: nodeName.describe('Name of the node.'), podsLeft }),
  dangers: dangersOfPods,
  change: 'destroys',
  undo: { none: 'the instance that is ended does not come back' },
  limits: { timeoutMs: 2 * hourMs },
  outputs: { group: text },
});

/** Auto Scaling groups whose instances are nodes of a cluster. */
export const autoscaling = {
  name: 'autoscaling',
  targets: [],
  actions: {
    'autoscaling.findNodes': autoscalingFindNodes,
    'autoscaling.hold': autoscalingHold,
    'autoscaling.release': autoscalingRelease,
    'autoscaling.setLaunchTemplate': autoscalingSetLaunchTemplate,
    'autoscaling.scaleUp': autoscalingScaleUp,
    'autoscaling.terminate': autoscalingTerminate,
    'autoscaling.replace': autoscalingReplace,
  },
} as const satisfies SystemDeclaration;
