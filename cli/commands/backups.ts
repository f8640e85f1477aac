import type { Configured, Drill, ListedBackup, OrphanFile, ShownBackup } from '../../activities/backup/by-hand.ts';
import { TargetError, type Target } from '../../domain/target.ts';
import { parseTarget } from '../../runbooks/targets.ts';
import { exportedKinds } from '../../runbooks/configuration/backups.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatTime } from '../format.ts';
import { table } from '../layout.ts';
import { configurationFile, readConfiguration } from '../runbook-files.ts';
import type { Terminal } from '../terminal.ts';
import { registerBackupObjects, showExport, showExports, verifyExport } from './backup-objects.ts';

type Options = CommonOptions & { config?: string };

const configOption = [
  '--config <file>',
  'holdpoint.yaml with `etcd` or `backups` (else HOLDPOINT_CONFIG, else the one in this folder)',
] as const;
const clusterArgument = ['<cluster>', 'such as etcd/prod or eks/eu-central-1/prod'] as const;
const backupArgument = ['[backup]', 'its name, such as 000042; the newest if left out'] as const;
/** As long as the action may take. */
const drillTimeoutMs = 2 * 3_600_000;

export const registerBackups: RegisterCommand = (program, context) => {
  const backups = program.command('backups');
  withCommonOptions(backups.command('list'))
    .summary('list the backups of a cluster; the chain of their manifests is checked')
    .argument(...clusterArgument)
    .option(...configOption)
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint backups list etcd/prod\n\nExit codes: 0 the chain is whole, 1 it is not, 2 bad arguments.',
    )
    .action(async (cluster: string, options: Options) => {
      const terminal = context.terminal(options);
      const target = targetOf(cluster);
      const configured = await configuredFor(terminal, options);
      if (target.kind !== 'etcd') return showExports(terminal, target, configured);
      const { listBackupsByHand } = await import('../../activities/backup/by-hand.ts');
      const { backups: found, orphans } = await listBackupsByHand(target, configured);
      terminal.result({ backups: found, orphans });
      terminal.lines(orphans.map(orphanLine));
      if (found.length === 0) return terminal.line(`There are no backups of ${cluster} yet; \`holdpoint start etcd-backup\` makes one.`);
      const rows = found.map(({ name, statement: { takenAt, revision, member, snapshot }, storedBytes, isDeleted, isDrilled }) => {
        const state = isDeleted ? 'deleted' : isDrilled ? 'drilled' : '';
        return [name, formatTime(takenAt), String(revision), member, megabytes(snapshot.bytes), megabytes(storedBytes), state];
      });
      terminal.lines(table([['BACKUP', 'TAKEN', 'REVISION', 'MEMBER', 'SNAPSHOT', 'STORED', ''], ...rows]));
    });
  withCommonOptions(backups.command('verify'))
    .summary('read a backup whole, with its key: every byte is what was stored')
    .argument(...clusterArgument)
    .argument(...backupArgument)
    .option(...configOption)
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint backups verify etcd/prod\n  holdpoint backups verify etcd/prod 000042\n\n' +
        'Whether it comes back in a real etcd, a drill tells: `holdpoint backups drill etcd/prod`, or the runbook etcd-restore-drill.\n\n' +
        'Exit codes: 0 it is whole, 1 it is not, or cannot be read, 2 bad arguments.',
    )
    .action(async (cluster: string, name: string | undefined, options: Options) => {
      const terminal = context.terminal(options);
      const target = targetOf(cluster);
      const configured = await configuredFor(terminal, options);
      if (target.kind !== 'etcd') return verifyExport(terminal, target, name, configured);
      const { verifyBackupByHand } = await import('../../activities/backup/by-hand.ts');
      const backup = await verifyBackupByHand(target, name, configured);
      terminal.result({ backup });
      terminal.lines(verifiedLines(backup));
      context.exit(exitCodes.done);
    });
  registerShow(backups, context);
  registerDrill(backups, context);
  registerBackupObjects(backups, context, { configOption, targetOf, configuredFor });
};

const registerShow: RegisterCommand = (backups, context) => {
  withCommonOptions(backups.command('show'))
    .summary('show what the place says of a backup: its manifest, its file, its drills')
    .argument(...clusterArgument)
    .argument(...backupArgument)
    .option(...configOption)
    .addHelpText('after', '\nExample:\n  holdpoint backups show etcd/prod 000042\n\nExit codes: 0 shown, 1 there is none, 2 bad arguments.')
    .action(async (cluster: string, name: string | undefined, options: Options) => {
      const terminal = context.terminal(options);
      const target = targetOf(cluster);
      const configured = await configuredFor(terminal, options);
      if (target.kind !== 'etcd') return showExport(terminal, target, name, configured);
      const { showBackupByHand } = await import('../../activities/backup/by-hand.ts');
      const backup = await showBackupByHand(target, name, configured);
      terminal.result({ backup });
      terminal.lines(shownLines(backup));
    });
};

const registerDrill: RegisterCommand = (backups, context) => {
  withCommonOptions(backups.command('drill'))
    .summary('restore a backup into an etcd of its own on this machine, compare its keys, and write down that it came back')
    .argument(...clusterArgument)
    .argument(...backupArgument)
    .option(...configOption)
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint backups drill etcd/prod\n  holdpoint backups drill etcd/prod 000042\n\n' +
        'It needs etcd, etcdctl and etcdutl on this machine, the key, and room for the snapshot; the cluster is not touched.\n\n' +
        'Exit codes: 0 it came back, 1 it did not, 2 bad arguments.',
    )
    .action(async (cluster: string, name: string | undefined, options: Options) => {
      const terminal = context.terminal(options);
      const target = targetOf(cluster);
      if (target.kind !== 'etcd') throw new UsageError('Only backups of etcd are drilled.', 'Restore others into an empty cluster.');
      const configured = await configuredFor(terminal, options);
      const { drillBackupByHand } = await import('../../activities/backup/by-hand.ts');
      const { backup, drill } = await drillBackupByHand(target, name, configured, AbortSignal.timeout(drillTimeoutMs));
      terminal.result({ backup, drill });
      terminal.lines(drilledLines(backup, drill));
      context.exit(exitCodes.done);
    });
};

function orphanLine({ sha256, storedAt }: OrphanFile): string {
  return (
    `The file ${sha256} of ${formatTime(storedAt)} is of no backup: a worker was killed before it wrote the manifest, ` +
    'or is at it just now. etcd-backup-retention deletes it after a day.'
  );
}

function drilledLines({ name, statement: { takenAt, keys, hashKv } }: ListedBackup, { restoreMs, ageMs, revision }: Drill): string[] {
  return [
    `The backup ${name} came back: an etcd was started over it, has the keys of its manifest, and took a new one.`,
    `  taken     ${formatTime(takenAt)}, ${seconds(ageMs)} before the drill: what would be lost`,
    `  restored  in ${seconds(restoreMs)}, from the place to a member that serves`,
    `  keys      ${keys} at revision ${revision} (HashKV ${hashKv})`,
  ];
}

function shownLines({ name, statement, manifest, storedBytes, isDeleted, isThere, drills }: ShownBackup): string[] {
  const file = isDeleted ? 'deleted by retention' : isThere ? `${megabytes(storedBytes)}, ${manifest.file.sha256}` : 'NOT in the place';
  return [
    `Backup ${name} of ${statement.target}`,
    `  taken     ${formatTime(statement.takenAt)} of ${statement.member}, etcd ${statement.etcdVersion}, cluster ${statement.clusterId}`,
    `  by        step ${statement.step} of run ${statement.run}`,
    `  revision  ${statement.revision}, compacted at ${statement.compactRevision}`,
    `  keys      ${statement.keys}, the same as in ${statement.equalTo.join(', ')} (HashKV ${statement.hashKv})`,
    `  snapshot  ${megabytes(statement.snapshot.bytes)}, ${statement.snapshot.sha256}`,
    `  file      ${file}`,
    `  key       ${manifest.key}`,
    `  before    ${manifest.previous ?? 'nothing: it is the first one'}`,
    ...(drills.length === 0 ? ['  drills    none'] : []),
    ...drills.map(({ drilledAt, restoreMs }) => `  drill     ${formatTime(drilledAt)}, came back in ${seconds(restoreMs)}`),
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function verifiedLines({ name, statement, storedBytes }: ListedBackup): string[] {
  const { takenAt, revision, member, equalTo, keys, hashKv, snapshot } = statement;
  return [
    `The backup ${name} is whole: every byte of it is what was stored.`,
    `  taken     ${formatTime(takenAt)} of ${member}, at revision ${revision}`,
    `  keys      ${keys}, the same as in ${equalTo.join(', ')} (HashKV ${hashKv})`,
    `  snapshot  ${megabytes(snapshot.bytes)}, stored as ${megabytes(storedBytes)}`,
  ];
}

function targetOf(text: string): Target {
  try {
    const target = parseTarget(text);
    if (target.kind === 'etcd' || exportedKinds.includes(target.kind)) return target;
  } catch (error) {
    throw error instanceof TargetError ? new UsageError(error.message) : error;
  }
  throw new UsageError(`"${text}" is nothing that there are backups of.`, 'Name a cluster such as etcd/prod or eks/eu-central-1/prod.');
}

async function configuredFor(terminal: Terminal, { config }: Options): Promise<Configured> {
  const [file, configuration] = [configurationFile(terminal, config), await readConfiguration(terminal, config)];
  if (configuration === undefined)
    throw new UsageError(`There is no file ${file}.`, 'Name the one that has `etcd` or `backups` with --config.');
  return { file, configuration };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
