import * as z from 'zod';
import { parseDurationMs } from '../configuration/duration.ts';
import { declareAction, hourMs, minuteMs, number, text, type SystemDeclaration } from './declaration.ts';
import { etcdRestoreActions } from './etcd-restore.ts';

const worksOn = ['etcd'];
const lagMax = z
  .int()
  .min(0)
  .max(1_000_000)
  .default(100)
  .describe('How many entries of the log a member may be behind the leader; 100 if left out.');

const etcdCheck = declareAction({
  name: 'etcd.check',
  summary: 'Looks at every member: it answers, has no alarm, is no learner, is not behind, and has the same keys as the others (HashKV).',
  worksOn,
  input: z.strictObject({ lagMax }),
  change: 'reads',
  limits: { timeoutMs: 10 * minuteMs },
  outputs: { clusterId: text, revision: number },
});

const etcdBackup = declareAction({
  name: 'etcd.backup',
  summary: 'Takes a snapshot, proves it against the members (HashKV), encrypts it, stores it, reads it back, and writes its manifest last.',
  worksOn,
  input: z.strictObject({ lagMax }),
  change: 'adds',
  undo: { none: 'A backup that was made stays.' },
  // A large cluster on a slow disk, and a slow way to the bucket.
  limits: { timeoutMs: 6 * hourMs },
  outputs: { backup: text, clusterId: text, revision: number, takenAt: text },
});

/** Of how many periods backups are kept. */
const periodsMax = 10_000;
const pinnedMax = 100;
const periods = (unit: string, count: number) =>
  z.int().min(0).max(periodsMax).default(count).describe(`Of how many ${unit} the newest backup is kept; ${count} if left out.`);

/** A backup by its name. */
export const backupName = z.string().regex(/^\d{6,}$/, 'must be the name of a backup such as 000042');

/** Which backups are kept, of whatever they are. */
export const retentionInput = z.strictObject({
  hours: periods('hours', 24),
  days: periods('days', 7),
  weeks: periods('weeks', 5),
  months: periods('months', 12),
  pinned: z.array(backupName).max(pinnedMax).default([]).describe('Names of backups that stay whatever their age.'),
  newestWithin: z
    .string()
    .refine((given) => (parseDurationMs(given) ?? 0) > 0, { error: 'must be a duration such as 26h' })
    .default('26h')
    .describe('Nothing is deleted while the newest backup is older than this; 26h if left out.'),
});

const etcdDeleteBackups = declareAction({
  name: 'etcd.deleteBackups',
  summary: 'Deletes old backups, never the newest or a pinned one, and none while new backups fail. Their manifests stay.',
  worksOn,
  input: retentionInput,
  change: 'destroys',
  undo: { none: 'The files of the backups are gone.' },
  limits: { timeoutMs: hourMs },
  outputs: { deleted: number },
});

const etcdDrill = declareAction({
  name: 'etcd.drill',
  summary:
    'Restores a backup into an etcd of its own on the worker, compares its keys, writes one, and removes it; the cluster is not touched.',
  worksOn,
  input: z.strictObject({ backup: backupName.describe('The backup by its name; the newest if left out.').optional() }),
  change: 'adds',
  undo: { none: 'What was restored is gone already.' },
  limits: { timeoutMs: 2 * hourMs },
  outputs: { backup: text, revision: number, drilledAt: text, restoreMs: number, ageMs: number },
});

const etcdDefragment = declareAction({
  name: 'etcd.defragment',
  summary:
    'Gives unused room of the files of members back, one after another: followers first, the leader once it is none, all well in between.',
  worksOn,
  input: z.strictObject({
    unusedPercentMin: z
      .int()
      .min(1)
      .max(100)
      .default(45)
      .describe('Members of whose file less than this share is unused are left alone; 45 if left out.'),
    sizeMin: z
      .int()
      .min(0)
      .max(1_000_000_000_000)
      .default(100_000_000)
      .describe('Members with a smaller file, in bytes, are left alone; 100000000 if left out.'),
    settle: z
      .string()
      .refine((given) => (parseDurationMs(given) ?? hourMs + 1) <= hourMs, { error: 'must be a duration such as 30s, an hour at most' })
      .default('30s')
      .describe('How long the cluster is left alone after each member; 30s if left out.'),
    lagMax,
  }),
  change: 'changes',
  undo: { none: 'Nothing has to be taken back: the keys are what they were.' },
  limits: { timeoutMs: 6 * hourMs },
  outputs: { defragmented: number },
});

const etcdReplaceMember = declareAction({
  name: 'etcd.replaceMember',
  summary: 'Takes a member out, announces another one as a learner, waits until it was started and has caught up, and lets it vote.',
  worksOn,
  input: z.strictObject({
    member: z.string().min(1).max(200).describe('The member that goes: its name, or its id in hexadecimal digits.'),
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/, 'must be letters, digits, `.`, `_` and `-`')
      .describe('Name of the member that comes; it may be the same.'),
    peerUrl: z
      .string()
      .max(300)
      .regex(/^https?:\/\/[^\s/@,?#]+:\d{1,5}$/, 'must be an address such as https://10.0.0.4:2380')
      .describe('Its address for the other members.'),
    lagMax,
  }),
  change: 'destroys',
  undo: { none: 'A member that was removed cannot come back with its data.' },
  // Somebody has to start the new member, and it has to fetch all keys.
  limits: { timeoutMs: 4 * hourMs },
  outputs: { member: text },
});

/** A cluster of etcd that holdpoint.yaml names, by its name: `etcd/prod`. */
export const etcd = {
  name: 'etcd',
  targets: [
    {
      kind: 'etcd',
      name: {
        title: 'name',
        pattern: /^[a-z0-9][a-z0-9._-]{0,62}$/,
        refusal: 'is no name of a cluster of etcd: small letters, digits, `-`, `_` and `.`, 63 at most',
        example: 'prod',
      },
      configuredIn: 'etcd',
    },
  ],
  actions: {
    'etcd.check': etcdCheck,
    'etcd.backup': etcdBackup,
    'etcd.deleteBackups': etcdDeleteBackups,
    'etcd.drill': etcdDrill,
    'etcd.defragment': etcdDefragment,
    'etcd.replaceMember': etcdReplaceMember,
    ...etcdRestoreActions,
  },
} as const satisfies SystemDeclaration;
