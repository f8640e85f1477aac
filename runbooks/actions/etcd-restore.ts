import * as z from 'zod';
import { declareAction, hourMs, listOfText, minuteMs, number, text } from './declaration.ts';

const worksOn = ['etcd'];
const backup = z
  .string()
  .regex(/^\d{6,}$/, 'must be the name of a backup such as 000042')
  .describe('The backup by its name.');
const member = z.string().min(1).max(200).describe('The member, as `members` of holdpoint.yaml names it.');
/** On the machine of the member. */
const runsOn = { input: 'member' };
/** A program on the machine has a minute, and what it starts or ends another one. */
const commandLimits = { timeoutMs: 5 * minuteMs };

const chooseBackup = declareAction({
  name: 'etcd.chooseBackup',
  summary: 'Chooses the backup that a cluster is restored from, and the members that are restored: all that holdpoint.yaml names.',
  worksOn,
  input: z.strictObject({ backup: backup.describe('The backup by its name; the newest if left out.').optional() }),
  change: 'reads',
  limits: { timeoutMs: 5 * minuteMs },
  outputs: { backup: text, takenAt: text, revision: number, members: listOfText },
});

const prepareRestore = declareAction({
  name: 'etcd.prepareRestore',
  summary: 'On the machine of a member: takes a snapshot of what it has now, and restores a backup into a directory beside its data.',
  worksOn,
  input: z.strictObject({ member, backup }),
  change: 'adds',
  runsOn,
  undo: { none: 'What was restored stays beside the data directory, unused, until somebody removes it.' },
  limits: { timeoutMs: 6 * hourMs },
  outputs: { member: text, sha256: text, before: text },
});

const stopMember = declareAction({
  name: 'etcd.stopMember',
  summary: 'On the machine of a member: ends etcd by the command that holdpoint.yaml names, and sees that it has ended.',
  worksOn,
  input: z.strictObject({ member }),
  change: 'changes',
  runsOn,
  undo: { does: 'starts the member again' },
  limits: commandLimits,
  outputs: {},
});

const startMember = declareAction({
  name: 'etcd.startMember',
  summary: 'On the machine of a member: starts etcd by the command that holdpoint.yaml names, and sees that it listens.',
  worksOn,
  input: z.strictObject({ member }),
  change: 'changes',
  runsOn,
  undo: { does: 'ends the member again, as long as the cluster has no leader and so can have taken no write' },
  limits: commandLimits,
  outputs: {},
});

const exchangeData = declareAction({
  name: 'etcd.exchangeData',
  summary: 'On the machine of a member that has ended: puts the restored data in the place of the old ones, which are kept beside them.',
  worksOn,
  input: z.strictObject({
    member,
    backup,
    back: z.boolean().default(false).describe('Puts the old data back instead; false if left out.'),
  }),
  change: 'changes',
  runsOn,
  undo: { does: 'puts the old data back in their place' },
  limits: { timeoutMs: 5 * minuteMs },
  outputs: { kept: text },
});

const checkRestored = declareAction({
  name: 'etcd.checkRestored',
  summary: 'Waits until every restored member is well and all of them have the same keys (HashKV), at a revision beyond the old one.',
  worksOn,
  input: z.strictObject({ backup }),
  change: 'reads',
  limits: { timeoutMs: hourMs },
  outputs: { clusterId: text, revision: number },
});

/** What a restore of a whole cluster is made of. */
export const etcdRestoreActions = {
  'etcd.chooseBackup': chooseBackup,
  'etcd.prepareRestore': prepareRestore,
  'etcd.stopMember': stopMember,
  'etcd.startMember': startMember,
  'etcd.exchangeData': exchangeData,
  'etcd.checkRestored': checkRestored,
} as const;
