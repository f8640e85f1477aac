import * as z from 'zod';
import { waiverGrammar, waiversMax } from '../configuration/waivers.ts';
import { addonSlots } from '../../domain/version/addons.ts';
import { alarmNames, queries } from './gate.ts';
import { parseDurationMs } from '../configuration/duration.ts';
import { declareAction, hourMs, listOfText, minuteMs, text, type SystemDeclaration } from './declaration.ts';

// EKS API, CreateNodegroup: letters, digits, `-` and `_`, not at the beginning; at most 63 characters.
const nodegroupName = z
  .string()
  .max(63)
  .regex(/^[0-9A-Za-z][A-Za-z0-9_-]*$/, 'must be a node group name: letters, digits, `-` and `_`, at most 63');
const kubernetesVersion = z.string().regex(/^\d{1,2}\.\d{1,3}$/, 'must be a Kubernetes minor version such as `1.34`');
const releaseVersion = z
  .string()
  .max(128)
  .regex(/^[0-9A-Za-z][0-9A-Za-z._-]*$/, 'must be an AMI release version such as `1.34.1-20261105`');
// EKS API, UpdateAddon: as node groups are named, at most 100 characters.
const addonName = z
  .string()
  .max(100)
  .regex(/^[0-9A-Za-z][A-Za-z0-9_-]*$/, 'must be the name of an EKS add-on such as `vpc-cni`');
/** Add-ons that one upgrade takes along. */
const addonsMax = 50;
/** Node groups that one upgrade takes along. */
const nodegroupsMax = 100;
// AWS takes tag values of up to 256 characters, which the id of a run is on what it has made.
const runId = z.string().min(1).max(256);

const worksOn = ['eks'];

const eksPreflight = declareAction({
  name: 'eks.preflight',
  summary: 'Reads the cluster, a node group and its subnets, and refuses to go on where maintenance could not succeed.',
  worksOn,
  input: z.strictObject({
    nodegroup: nodegroupName.describe('Node group whose nodes are listed and checked.').optional(),
    acceptBroken: z
      .boolean()
      .default(false)
      .describe('Take a node group that is DEGRADED, or has nodes that are not Ready, as a risk that is signed: it goes because of that.'),
    minFreeAddresses: z.int().min(0).describe('Free IP addresses that each subnet of the node group must have left.').optional(),
    toVersion: kubernetesVersion
      .describe('Kubernetes version that the cluster is to go to: every check of `holdpoint check` is made, and its errors block the plan.')
      .optional(),
    waive: z
      .array(waiverGrammar)
      .max(waiversMax)
      .describe('Findings of the checks that people go past by signing, each until a time.')
      .optional(),
    updatedAddons: z
      .array(addonName)
      .max(addonsMax)
      .describe('Add-ons that later steps of the run update when they are due: that one does not run under the version yet is no error.')
      .optional(),
    updatedNodegroups: z
      .array(
        z.strictObject({
          nodegroup: nodegroupName.describe('Name of the node group.'),
          newNodegroup: nodegroupName.describe('Node group that takes its place; EKS replaces the nodes if left out.').optional(),
        }),
      )
      .max(nodegroupsMax)
      .describe(
        'Node groups that later steps of the run replace, by new ones where they are named, else by EKS: their subnets must have room ' +
          'for the nodes that come. If left out, any node group may be, by EKS.',
      )
      .optional(),
  }),
  dangers: ({ waive = [] }) => ({ waive: waive.length > 0 ? 'checks that find a problem are gone past' : undefined }),
  change: 'reads',
  // A cluster of 500 nodes and 10,000 pods is checked in less than half a minute.
  limits: { timeoutMs: 5 * minuteMs },
  outputs: { version: text, nodes: listOfText, nodegroupVersion: { type: 'string', mayBeAbsent: true } },
});

const eksCreateNodegroup = declareAction({
  name: 'eks.createNodegroup',
  summary: 'Creates a node group with the settings of another one and waits until its nodes are Ready.',
  worksOn,
  input: z.strictObject({
    name: nodegroupName.describe('Name of the new node group.'),
    like: nodegroupName.describe('Node group whose settings are copied.'),
    releaseVersion: releaseVersion
      .describe(
        'AMI release of the new nodes, or `latest`, which the plan names; if left out, EKS takes the newest one when it makes them.',
      )
      .optional(),
    version: kubernetesVersion.describe('Kubernetes version of the new nodes; that of the cluster if left out.').optional(),
  }),
  change: 'adds',
  undo: { does: 'drains the nodes of the new group, and deletes it' },
  limits: { timeoutMs: 2 * hourMs },
  outputs: { nodegroup: text, nodes: listOfText },
});

const eksDeleteNodegroup = declareAction({
  name: 'eks.deleteNodegroup',
  summary: 'Deletes a node group whose nodes carry no workload (any more) and waits until it is gone.',
  worksOn,
  input: z.strictObject({
    nodegroup: nodegroupName.describe('Name of the node group.'),
    createdBy: runId.describe('Id of a run: the node group is deleted only if that run has made it.').optional(),
  }),
  change: 'destroys',
  undo: { none: 'the node group can be created anew, but its nodes do not come back' },
  limits: { timeoutMs: 2 * hourMs },
  outputs: { nodegroup: text },
});

const eksUpdateNodegroupVersion = declareAction({
  name: 'eks.updateNodegroupVersion',
  summary: 'Has EKS replace the nodes of a managed node group by nodes of another version.',
  worksOn,
  input: z.strictObject({
    nodegroup: nodegroupName.describe('Name of the node group.'),
    version: kubernetesVersion.describe('Kubernetes version to go to; this or releaseVersion must be given.').optional(),
    releaseVersion: releaseVersion
      .describe('AMI release to go to, or `latest`, which the plan names; this or version must be given.')
      .optional(),
    zeroBudgets: z
      .enum(['block', 'wait'])
      .default('block')
      .describe(
        'What a PDB means that allows 0 disruptions however many pods are healthy: the plan is blocked, or people sign that EKS asks ' +
          'for its pods for 15 minutes a node, and then gives the update up. Those of operators that are no part of Kubernetes are ' +
          'signed in any case.',
      ),
    force: z.boolean().default(false).describe('Let EKS terminate nodes whose pods cannot be evicted within 15 minutes.'),
    waitForUpdate: z
      .boolean()
      .default(false)
      .describe('Wait for the end of an update that is in progress already, instead of stopping there.'),
  }),
  dangers: ({ force }) => ({
    force: force ? 'EKS ends nodes whose pods it could not evict in 15 minutes, past their PodDisruptionBudgets' : undefined,
  }),
  change: 'changes',
  undo: { none: 'EKS does not take nodes back to an older version' },
  limits: { timeoutMs: 2 * hourMs },
  outputs: { nodegroup: text, releaseVersion: text },
});

const eksRefreshInsights = declareAction({
  name: 'eks.refreshInsights',
  summary: 'Has EKS look anew at what speaks against another version of the control plane, and waits for it.',
  worksOn,
  input: z.strictObject({}),
  change: 'reads',
  limits: { timeoutMs: 30 * minuteMs },
  outputs: {},
});

const versionChange = z.strictObject({
  version: kubernetesVersion.describe('Kubernetes version to go to.'),
  waive: z
    .array(
      z.strictObject({
        insight: z.string().min(1).max(200).describe('Name of the insight, as EKS gives it.'),
        reason: z.string().min(1).max(500).describe('Why it does not matter here; people sign it.'),
        until: z.iso.datetime({ error: 'must be a time in UTC such as 2026-11-28T00:00:00Z' }).describe('When it ends.').optional(),
      }),
    )
    .max(50)
    .default([])
    .describe('Findings of EKS against the version that people go past by signing.'),
  waitForUpdate: z
    .boolean()
    .default(false)
    .describe('Wait for the end of an update the other way that is in progress, instead of stopping there.'),
});
const dangersOfWaivers = ({ waive }: z.output<typeof versionChange>): { waive: string | undefined } => ({
  waive: waive.length > 0 ? 'EKS is told to go past what it finds against the version' : undefined,
});

const eksUpdateControlPlane = declareAction({
  name: 'eks.updateControlPlane',
  summary: 'Has EKS take the control plane one minor version up.',
  worksOn,
  input: versionChange,
  dangers: dangersOfWaivers,
  change: 'changes',
  limits: { timeoutMs: 2 * hourMs },
  outputs: { version: text, rollbackUntil: { type: 'string', mayBeAbsent: true } },
});

const eksRollbackControlPlane = declareAction({
  name: 'eks.rollbackControlPlane',
  summary: 'Has EKS take the control plane back to the minor version from which it was upgraded in the last 7 days.',
  worksOn,
  input: versionChange.extend({
    // EKS API, RollbackConfig: 120 to 10080 minutes.
    nodesTimeout: z
      .string()
      .refine((given) => isWithin(given, 2, 168), { error: 'must be a duration from 2h to 168h' })
      .default('12h')
      .describe('In Auto Mode only, where nodes go back first: how long EKS has for them until it gives the rollback up.'),
  }),
  dangers: dangersOfWaivers,
  change: 'changes',
  // Nodes of Auto Mode may take a week.
  limits: { timeoutMs: 170 * hourMs },
  outputs: { version: text },
});

function isWithin(given: string, hoursMin: number, hoursMax: number): boolean {
  const ms = parseDurationMs(given) ?? 0;
  return ms >= hoursMin * hourMs && ms <= hoursMax * hourMs;
}

// EKS API: the id that ListCertificateAuthorities gives.
const certificateAuthority = z
  .string()
  .max(128)
  .regex(/^[0-9A-Za-z][0-9A-Za-z_-]*$/, 'must be the id of a certificate authority, as `aws eks list-certificate-authorities` gives it');
const olderNodes = z
  .enum(['block', 'accept'])
  .default('block')
  .describe('What nodes mean that may not trust the successor: the plan is blocked, or people sign that they may lose the cluster.');
const dangersOfOlderNodes = (input: { olderNodes: 'block' | 'accept' }): { olderNodes: string | undefined } => ({
  olderNodes: input.olderNodes === 'accept' ? 'nodes that may not trust the successor stay, and may lose the cluster' : undefined,
});
const waitForOtherUpdate = z
  .boolean()
  .default(false)
  .describe('Wait for the end of an update of the cluster that is in progress, instead of stopping there.');

const eksCreateCertificateAuthority = declareAction({
  name: 'eks.createCertificateAuthority',
  summary: 'Appends a certificate authority that the cluster trusts besides the one that signs, and waits until EKS has distributed it.',
  worksOn,
  input: z.strictObject({
    outgoing: certificateAuthority.describe('Nothing is appended where another one than this signs already.').optional(),
  }),
  change: 'adds',
  undo: { does: 'deletes it, as long as it does not sign' },
  limits: { timeoutMs: 2 * hourMs },
  outputs: { certificateAuthority: text },
});

const eksActivateCertificateAuthority = declareAction({
  name: 'eks.activateCertificateAuthority',
  summary: 'Has another certificate authority sign, and waits until all nodes are Ready and every aggregated API answers.',
  worksOn,
  input: z.strictObject({
    certificateAuthority: certificateAuthority.describe('The one that signs from then on; the successor if left out.').optional(),
    outgoing: certificateAuthority.describe('Nothing is done where another one than this signs already.').optional(),
    olderNodes,
    waitForUpdate: waitForOtherUpdate,
  }),
  dangers: dangersOfOlderNodes,
  change: 'changes',
  undo: { does: 'has the one before sign again, as long as EKS says `rollbackAvailable`' },
  limits: { timeoutMs: 2 * hourMs },
  outputs: { certificateAuthority: text, previous: { type: 'string', mayBeAbsent: true } },
});

const eksDeleteCertificateAuthority = declareAction({
  name: 'eks.deleteCertificateAuthority',
  summary: 'Deletes a certificate authority that does not sign: the cluster does not trust it any more.',
  worksOn,
  input: z.strictObject({
    certificateAuthority: certificateAuthority.describe('The one that goes.'),
    olderNodes,
    waitForUpdate: waitForOtherUpdate,
  }),
  dangers: dangersOfOlderNodes,
  change: 'destroys',
  undo: { none: 'EKS does not bring a certificate authority back' },
  limits: { timeoutMs: 2 * hourMs },
  outputs: { certificateAuthority: text },
});

const addonVersion = z
  .string()
  .max(128)
  .regex(/^v?[0-9][0-9A-Za-z._+-]*$/, 'must be a version of an add-on such as `v1.20.1-eksbuild.3`');

const eksUpdateAddon = declareAction({
  name: 'eks.updateAddon',
  summary: 'Has EKS update an add-on to the version that fits a version of Kubernetes, where the add-on is due, or to a named version.',
  worksOn,
  input: z.strictObject({
    addon: addonName.describe('Name of the add-on.'),
    kubernetesVersion: kubernetesVersion
      .describe('Version that the control plane is to have, or has got; this and slot, or addonVersion, must be given.')
      .optional(),
    slot: z
      .enum(addonSlots)
      .describe('Where in the upgrade this step stands: an add-on that is due elsewhere is left as it is.')
      .optional(),
    addonVersion: addonVersion.describe('Version of the add-on to go to, instead of the one that fits.').optional(),
    resolveConflicts: z
      .enum(['NONE', 'PRESERVE', 'OVERWRITE'])
      .default('PRESERVE')
      .describe('What becomes of what others have changed in its objects: EKS stops there (NONE), keeps it, or puts its own in its place.'),
    waitForUpdate: z
      .boolean()
      .default(false)
      .describe('Wait for the end of an update that is in progress already, instead of stopping there.'),
  }),
  dangers: ({ resolveConflicts }) => ({
    resolveConflicts: resolveConflicts === 'OVERWRITE' ? 'what others have changed in the objects of the add-on is lost' : undefined,
  }),
  change: 'changes',
  undo: { does: 'has EKS take the add-on back to the version that it had' },
  limits: { timeoutMs: hourMs },
  outputs: { addonVersion: text },
});

/** A cluster of 10,000 pods is read in a few seconds, and a bake is to be no load of its own. */
const bakePace = { lookMinMs: 1_000, lookMaxMs: 20_000 };
const bakeHoursMax = 48;
const bakeDuration = (leastMs: number) =>
  z
    .string()
    .refine((given) => (parseDurationMs(given) ?? -1) >= leastMs, { error: 'must be a duration such as 90s, 15m or 4h' })
    .refine((given) => (parseDurationMs(given) ?? 0) <= bakeHoursMax * hourMs, { error: `must be ${bakeHoursMax} hours at most` });

const eksBake = declareAction({
  name: 'eks.bake',
  summary: 'Looks at the cluster again and again for a time, and stops where something is worse than it was before.',
  worksOn,
  input: z.strictObject({
    lasts: bakeDuration(0).default('30m').describe('How long it is looked at: 90s, 30m, 4h; 0s for a single look.'),
    recoverWithin: bakeDuration(0)
      .default('5m')
      .describe('How long a node, a workload or an aggregated API may be worse than before, as while pods move.'),
    restartsMax: z.int().min(0).max(1000).default(3).describe('How many containers of one workload may restart meanwhile.'),
    version: kubernetesVersion.describe('Kubernetes version that the control plane must have.').optional(),
    alarms: alarmNames.default([]).describe('Alarms of CloudWatch, also composite ones, that must be OK meanwhile.'),
    queries: queries.default([]).describe('PromQL queries whose values must be as they say meanwhile.'),
  }),
  change: 'reads',
  limits: { timeoutMs: (bakeHoursMax + 1) * hourMs, pace: bakePace },
  outputs: {},
});

/** EKS clusters, and what can be done to them through the API of AWS. */
export const eks = {
  name: 'eks',
  targets: [
    {
      kind: 'eks',
      region: {
        title: 'region',
        // Names of AWS regions such as `eu-central-1` or `us-gov-west-1`.
        pattern: /^[a-z]{2,3}(-[a-z]+)+-\d{1,2}$/,
        refusal: 'is no AWS region such as eu-central-1',
        example: 'eu-central-1',
      },
      name: {
        title: 'cluster',
        // EKS API, CreateCluster: letters, digits, `-` and `_`, not at the beginning; at most 100 characters.
        pattern: /^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$/,
        refusal: 'is no name of an EKS cluster: 1 to 100 letters, digits, "-" and "_", the first a letter or digit',
        example: 'demo',
      },
    },
  ],
  actions: {
    'eks.preflight': eksPreflight,
    'eks.createNodegroup': eksCreateNodegroup,
    'eks.deleteNodegroup': eksDeleteNodegroup,
    'eks.updateNodegroupVersion': eksUpdateNodegroupVersion,
    'eks.refreshInsights': eksRefreshInsights,
    'eks.updateControlPlane': eksUpdateControlPlane,
    'eks.rollbackControlPlane': eksRollbackControlPlane,
    'eks.createCertificateAuthority': eksCreateCertificateAuthority,
    'eks.activateCertificateAuthority': eksActivateCertificateAuthority,
    'eks.deleteCertificateAuthority': eksDeleteCertificateAuthority,
    'eks.updateAddon': eksUpdateAddon,
    'eks.bake': eksBake,
  },
} as const satisfies SystemDeclaration;
