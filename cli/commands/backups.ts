import type { Configured, ListedBackup } from '../../activities/backup/by-hand.ts';
import { TargetError, type Target } from '../../domain/target.ts';
import { parseTarget } from '../../runbooks/targets.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatTime } from '../format.ts';
import { table } from '../layout.ts';
import { configurationFile, readConfiguration } from '../runbook-files.ts';
import type { Terminal } from '../terminal.ts';

type Options = CommonOptions & { config?: string };

const configOption = ['--config <file>', 'holdpoint.yaml with `etcd` (else HOLDPOINT_CONFIG, else the one in this folder)'] as const;
const clusterArgument = ['<cluster>', 'such as etcd/prod'] as const;

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
      const { listBackupsByHand } = await import('../../activities/backup/by-hand.ts');
      const found = await listBackupsByHand(target, configured);
      terminal.result({ backups: found });
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
    .argument('[backup]', 'its name, such as 000042; the newest if left out')
    .option(...configOption)
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint backups verify etcd/prod\n  holdpoint backups verify etcd/prod 000042\n\n' +
        'Whether it comes back in a real etcd, a drill tells: `holdpoint start etcd-restore-drill --input name=prod`.\n\n' +
        'Exit codes: 0 it is whole, 1 it is not, or cannot be read, 2 bad arguments.',
    )
    .action(async (cluster: string, name: string | undefined, options: Options) => {
      const terminal = context.terminal(options);
      const target = targetOf(cluster);
      const configured = await configuredFor(terminal, options);
      const { verifyBackupByHand } = await import('../../activities/backup/by-hand.ts');
      const backup = await verifyBackupByHand(target, name, configured);
      terminal.result({ backup });
      terminal.lines(verifiedLines(backup));
      context.exit(exitCodes.done);
    });
};

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
    if (target.kind === 'etcd') return target;
  } catch (error) {
    throw error instanceof TargetError ? new UsageError(error.message) : error;
  }
  throw new UsageError(`There are backups of etcd only, and "${text}" is something else.`, 'Name a cluster such as etcd/prod.');
}

async function configuredFor(terminal: Terminal, { config }: Options): Promise<Configured> {
  const [file, configuration] = [configurationFile(terminal, config), await readConfiguration(terminal, config)];
  if (configuration === undefined) throw new UsageError(`There is no file ${file}.`, 'Name the one that has `etcd` with --config.');
  return { file, configuration };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
