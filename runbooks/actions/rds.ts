import * as z from 'zod';
import { declareAction, hourMs, minuteMs, text, type SystemDeclaration } from './declaration.ts';

// RDS API, CreateDBCluster and CreateDBInstance: letters, digits and `-`, the first a letter, no `-` at the end and no two in a row.
const identifierPattern = /^[a-z](?:-?[a-z0-9])*$/;
const identifierMax = 63;
const instanceName = z
  .string()
  .max(identifierMax)
  .regex(identifierPattern, 'must be the name of a DB instance in small letters: letters, digits and `-`, at most 63');

const instanceClass = z
  .string()
  .max(identifierMax)
  .regex(/^db\.(serverless|[a-z0-9-]+\.[a-z0-9-]+)$/, 'must be an instance class such as db.r6g.large');

const worksOn = ['rds'];
const lagMaxMs = 60_000;
/** Aurora user guide, "Aurora Replicas". */
const readersMax = 15;

const rdsFailover = declareAction({
  name: 'rds.failover',
  summary: 'Makes a reader of an Aurora cluster its writer, from the writer that it is expected to have, and asks RDS for that once.',
  worksOn,
  input: z.strictObject({
    writer: instanceName.describe('The instance that is the writer now; it is refused where another one is.'),
    to: instanceName.describe('The reader that becomes the writer; the one that fits best if left out.').optional(),
    lagMaxMs: z
      .int()
      .min(1)
      .max(lagMaxMs)
      .default(1_000)
      .describe('How far a reader may lag behind the writer, in milliseconds, by what CloudWatch has measured last.'),
    smallerReader: z
      .enum(['block', 'accept'])
      .default('block')
      .describe('What it means that a reader has a smaller class than the writer, or one that cannot be compared.'),
    waitForFailover: z
      .boolean()
      .default(false)
      .describe('Wait for a failover to `writer` that is in progress already, instead of stopping there.'),
  }),
  dangers: ({ smallerReader }) => ({
    smallerReader: smallerReader === 'accept' ? 'the new writer may be smaller than the old one, too small for the load' : undefined,
  }),
  change: 'changes',
  interrupts: true,
  undo: { does: 'fails over once more, back to the writer of before: writes are refused for some seconds again' },
  // RDS is back within a minute; the rest is for an old writer that comes back slowly.
  limits: { timeoutMs: 30 * minuteMs, pace: { lookMinMs: 500, lookMaxMs: 2_000 } },
  outputs: { writer: text, previous: text },
});

const rdsModifyInstance = declareAction({
  name: 'rds.modifyInstance',
  summary: 'Gives a reader of an Aurora cluster another instance class at once, while enough other readers take reads.',
  worksOn,
  input: z.strictObject({
    instance: instanceName.describe('A reader of the cluster; the writer is refused.'),
    instanceClass: instanceClass.describe('The class that it gets, such as db.r6g.large.'),
    otherReadersMin: z.int().min(0).max(readersMax).default(1).describe('How many other readers must be available while it is changed.'),
    waitForChange: z.boolean().default(false).describe('Wait for a change of it that is in progress already, instead of stopping there.'),
  }),
  dangers: ({ otherReadersMin }) => ({
    otherReadersMin: otherReadersMin === 0 ? 'no other reader may be left: reads go to the writer meanwhile' : undefined,
  }),
  change: 'changes',
  undo: { does: 'gives it its former class again: its connections are cut once more' },
  // A change of the class takes minutes; the rest is for other readers that are waited for.
  limits: { timeoutMs: 60 * minuteMs, pace: { lookMinMs: 1_000, lookMaxMs: 5_000 } },
  outputs: { instance: text, instanceClass: text },
});

const rdsTakeSnapshot = declareAction({
  name: 'rds.takeSnapshot',
  summary: 'Takes a snapshot of an Aurora cluster, and waits until it can be restored.',
  worksOn,
  input: z.strictObject({}),
  change: 'adds',
  undo: { none: 'the snapshot stays: nothing uses it, and it may be needed' },
  // A first snapshot of a large cluster takes hours.
  limits: { timeoutMs: 6 * hourMs, pace: { lookMinMs: 1_000, lookMaxMs: 10_000 } },
  outputs: { snapshot: text, createdAt: text },
});

const engineVersion = z
  .string()
  .max(identifierMax)
  .regex(/^\d+(\.[a-z0-9_]+)+$/, 'must be an engine version such as 16.6 or 8.0.mysql_aurora.3.08.2');

const rdsUpgradeEngine = declareAction({
  name: 'rds.upgradeEngine',
  summary: 'Gives an Aurora cluster another minor version of its engine at once: all of its instances restart.',
  worksOn,
  input: z.strictObject({
    from: engineVersion.describe('The version that it has now; it is refused where it has another one.'),
    to: engineVersion.describe('The minor version that it gets, such as 16.6.'),
  }),
  change: 'changes',
  interrupts: true,
  undo: { none: 'RDS takes no engine back to an older version' },
  limits: { timeoutMs: 2 * hourMs, pace: { lookMinMs: 1_000, lookMaxMs: 5_000 } },
  outputs: { engineVersion: text },
});

const rdsRotateCertificate = declareAction({
  name: 'rds.rotateCertificate',
  summary: 'Gives an instance of an Aurora cluster a certificate of another authority of RDS, at once.',
  worksOn,
  input: z.strictObject({
    instance: instanceName.describe('An instance of the cluster; the writer is refused where the engine version must restart for that.'),
    certificateAuthority: z
      .string()
      .max(identifierMax)
      .regex(/^[a-z][a-z0-9-]*$/, 'must be the name of a certificate authority such as rds-ca-rsa2048-g1')
      .describe('The authority, such as rds-ca-rsa2048-g1.'),
  }),
  change: 'changes',
  undo: { does: 'gives it a certificate of its former authority again' },
  limits: { timeoutMs: hourMs, pace: { lookMinMs: 1_000, lookMaxMs: 5_000 } },
  outputs: { instance: text, certificateAuthority: text },
});

// The name of its instance is longer by two.
const cloneName = z
  .string()
  .max(identifierMax - 2)
  .regex(identifierPattern, 'must be the name of an Aurora cluster in small letters: letters, digits and `-`, at most 61');

const rdsClone = declareAction({
  name: 'rds.clone',
  summary: 'Makes a clone of an Aurora cluster with one instance, for a restore drill.',
  worksOn,
  input: z.strictObject({
    name: cloneName.describe('What the clone is called; it is refused where there is a cluster of that name.'),
    instanceClass: instanceClass.describe('Class of its instance; that of the writer if left out.').optional(),
  }),
  change: 'adds',
  undo: { does: 'deletes the clone with what was written to it' },
  limits: { timeoutMs: 4 * hourMs, pace: { lookMinMs: 1_000, lookMaxMs: 10_000 } },
  outputs: { clone: text, instance: text },
});

const rdsDeleteClone = declareAction({
  name: 'rds.deleteClone',
  summary: 'Deletes a clone that Holdpoint has made of an Aurora cluster, with its instances, without a final snapshot.',
  worksOn,
  input: z.strictObject({ name: cloneName.describe('The clone; whatever lacks the tags of one is refused.') }),
  change: 'destroys',
  undo: { none: 'the clone is gone' },
  limits: { timeoutMs: 2 * hourMs, pace: { lookMinMs: 1_000, lookMaxMs: 10_000 } },
  outputs: { clone: text },
});

// RDS API, CreateBlueGreenDeployment: 1 to 60 characters.
const blueGreenName = z.string().max(60).regex(identifierPattern, 'must be a name in small letters: letters, digits and `-`, at most 60');

const rdsCreateBlueGreen = declareAction({
  name: 'rds.createBlueGreen',
  summary: 'Makes a green cluster that follows an Aurora cluster, with another engine version, and waits until it can take its place.',
  worksOn,
  input: z.strictObject({
    name: blueGreenName.describe('What the blue/green deployment is called; it is refused where there is one of that name.'),
    engineVersion: engineVersion.describe('The version that the green cluster gets, also of another major version, such as 17.4.'),
  }),
  change: 'adds',
  undo: { does: 'deletes the green cluster with what was written to it' },
  // A green cluster of some terabytes takes hours.
  limits: { timeoutMs: 12 * hourMs, pace: { lookMinMs: 1_000, lookMaxMs: 10_000 } },
  outputs: { deployment: text },
});

const rdsSwitchoverBlueGreen = declareAction({
  name: 'rds.switchoverBlueGreen',
  summary: 'Has the green cluster of a blue/green deployment take the place and the name of the blue one; RDS is asked for that once.',
  worksOn,
  input: z.strictObject({
    name: blueGreenName.describe('The blue/green deployment.'),
    timeoutSeconds: z.int().min(30).max(3_600).default(300).describe('How long the switchover may take, after which RDS rolls it back.'),
  }),
  change: 'changes',
  interrupts: true,
  undo: { none: 'the old cluster does not get what was written since' },
  limits: { timeoutMs: 2 * hourMs, pace: { lookMinMs: 500, lookMaxMs: 2_000 } },
  outputs: { engineVersion: text },
});

const rdsDeleteBlueGreen = declareAction({
  name: 'rds.deleteBlueGreen',
  summary: 'Deletes a blue/green deployment of Holdpoint with the cluster that is not needed any more: the old one, with a final snapshot.',
  worksOn,
  input: z.strictObject({ name: blueGreenName.describe('The blue/green deployment; before a switchover its green cluster goes with it.') }),
  change: 'destroys',
  undo: { none: 'the deployment and the cluster are gone' },
  limits: { timeoutMs: 3 * hourMs, pace: { lookMinMs: 1_000, lookMaxMs: 10_000 } },
  outputs: { finalSnapshot: text },
});

/** Aurora clusters of RDS, by region and name. */
export const rds = {
  name: 'rds',
  targets: [
    {
      kind: 'rds',
      region: {
        title: 'region',
        pattern: /^[a-z]{2}(?:-[a-z]+)+-\d$/,
        refusal: 'is no AWS region such as eu-central-1',
        example: 'eu-central-1',
      },
      name: {
        title: 'cluster',
        pattern: /^(?=.{1,63}$)[a-z](?:-?[a-z0-9])*$/,
        refusal: 'is no name of an Aurora cluster: small letters, digits and `-`, the first a letter, at most 63',
        example: 'orders',
      },
    },
  ],
  actions: {
    'rds.failover': rdsFailover,
    'rds.modifyInstance': rdsModifyInstance,
    'rds.takeSnapshot': rdsTakeSnapshot,
    'rds.clone': rdsClone,
    'rds.deleteClone': rdsDeleteClone,
    'rds.upgradeEngine': rdsUpgradeEngine,
    'rds.createBlueGreen': rdsCreateBlueGreen,
    'rds.switchoverBlueGreen': rdsSwitchoverBlueGreen,
    'rds.deleteBlueGreen': rdsDeleteBlueGreen,
    'rds.rotateCertificate': rdsRotateCertificate,
  },
} as const satisfies SystemDeclaration;
