import type { Command } from 'commander';
import { stringify } from 'yaml';
import type { Configured } from '../../activities/backup/by-hand.ts';
import type { ExportDifference, ListedExport, ObjectChange } from '../../activities/kubernetes/export/by-hand.ts';
import { typeNameOf } from '../../domain/backup/export.ts';
import type { Json } from '../../domain/json.ts';
import { formatTarget, type Target } from '../../domain/target.ts';
import { cut, visible } from '../../domain/visible.ts';
import { withCommonOptions, type CommandContext, type CommonOptions } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatTime } from '../format.ts';
import { table } from '../layout.ts';
import type { Terminal } from '../terminal.ts';

type Options = CommonOptions & { config?: string };
type GetOptions = Options & { namespace?: string };

/** What the commands of backups have in common. */
export interface BackupCommands {
  configOption: readonly [string, string];
  targetOf: (text: string) => Target;
  configuredFor: (terminal: Terminal, options: Options) => Promise<Configured>;
}

const shownChangesMax = 500;
const shownFieldsMax = 20;
const valueCharactersMax = 80;

/** Registers the commands that only backups of objects have: `diff` and `get`. */
export function registerBackupObjects(backups: Command, context: CommandContext, shared: BackupCommands): void {
  registerDiff(backups, context, shared);
  registerGet(backups, context, shared);
}

function registerDiff(backups: Command, context: CommandContext, { configOption, targetOf, configuredFor }: BackupCommands): void {
  withCommonOptions(backups.command('diff'))
    .summary('say what has changed in a cluster between two backups, by object')
    .argument('<cluster>', 'such as eks/eu-central-1/prod')
    .argument('<from>', 'the earlier backup, such as 000041')
    .argument('<to>', 'the later one')
    .option(...configOption)
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint backups diff eks/eu-central-1/prod 000041 000042\n\nValues of Secrets are not shown.\n\n' +
        'Exit codes: 0 both could be read, 1 one of them cannot be used, 2 bad arguments.',
    )
    .action(async (cluster: string, from: string, to: string, options: Options) => {
      const terminal = context.terminal(options);
      const target = objectsTarget(targetOf(cluster));
      const configured = await configuredFor(terminal, options);
      const { diffExportsByHand } = await import('../../activities/kubernetes/export/by-hand.ts');
      const difference = await diffExportsByHand(target, from, to, configured);
      terminal.result({ difference });
      terminal.lines(differenceLines(difference));
      context.exit(exitCodes.done);
    });
}

function registerGet(backups: Command, context: CommandContext, { configOption, targetOf, configuredFor }: BackupCommands): void {
  withCommonOptions(backups.command('get'))
    .summary('print one object as a backup has it, in YAML')
    .argument('<cluster>', 'such as eks/eu-central-1/prod')
    .argument('<backup>', 'its name, such as 000042')
    .argument('<object>', 'its type and name, such as deployments.apps/web')
    .option('-n, --namespace <name>', 'its namespace, where several have an object of that name')
    .option(...configOption)
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint backups get eks/eu-central-1/prod 000042 deployments.apps/web -n shop\n' +
        '  holdpoint backups get kubernetes/lab 000007 clusterroles/reader\n\n' +
        'A Secret is printed with its values. `holdpoint start eks-restore` puts objects back.\n\n' +
        'Exit codes: 0 it is printed, 1 the backup does not have it or cannot be used, 2 bad arguments.',
    )
    .action(async (cluster: string, name: string, object: string, options: GetOptions) => {
      const terminal = context.terminal(options);
      const target = objectsTarget(targetOf(cluster));
      const [type, own, ...rest] = object.split('/');
      if (!type || !own || rest.length > 0)
        throw new UsageError(`"${object}" names no object.`, 'Write its type and name, such as configmaps/web.');
      const configured = await configuredFor(terminal, options);
      const { getObjectByHand } = await import('../../activities/kubernetes/export/by-hand.ts');
      const wanted = { type, name: own, ...(options.namespace !== undefined && { namespace: options.namespace }) };
      const found = await getObjectByHand(target, name, wanted, configured);
      terminal.result({ object: found.object });
      terminal.lines(stringify(found.object).trimEnd().split('\n'));
      context.exit(exitCodes.done);
    });
}

function objectsTarget(target: Target): Target {
  if (target.kind !== 'etcd') return target;
  const remedy = 'Name a cluster such as eks/eu-central-1/prod or kubernetes/lab.';
  throw new UsageError('Backups of etcd hold keys and not objects.', remedy);
}

function differenceLines({ from, to, added, removed, changed, rewritten, changes }: ExportDifference): string[] {
  if (changes.length === 0) return [`No object differs between ${from} and ${to}; ${rewritten} were written without a change.`];
  const shown = changes.slice(0, shownChangesMax).flatMap(changeLines);
  const more = changes.length > shownChangesMax ? [`… and ${changes.length - shownChangesMax} objects more; --json names them.`] : [];
  return [`From ${from} to ${to}: ${added} added, ${removed} removed, ${changed} changed.`, ...shown, ...more];
}

function changeLines({ object, change, fields = [] }: ObjectChange): string[] {
  const shown = fields.slice(0, shownFieldsMax);
  const more = fields.length > shownFieldsMax ? [`      … and ${fields.length - shownFieldsMax} fields more`] : [];
  return [
    `  ${change.padEnd(8)} ${visible(object)}`,
    // The difference is told of the later one.
    ...shown.map(({ field, before, after }) => `      ${visible(field)}: ${shownValue(before)} -> ${shownValue(after)}`),
    ...more,
  ];
}

function shownValue(value: Json | undefined): string {
  if (value === undefined) return 'none';
  return visible(cut(typeof value === 'string' ? value : JSON.stringify(value), valueCharactersMax));
}

/** `backups list` of objects. */
export async function showExports(terminal: Terminal, target: Target, configured: Configured): Promise<void> {
  const { listExportsByHand } = await import('../../activities/kubernetes/export/by-hand.ts');
  const backups = await listExportsByHand(target, configured);
  terminal.result({ backups });
  if (backups.length > 0) return terminal.lines(exportRows(backups));
  terminal.line(`There are no backups of ${formatTarget(target)} yet; \`holdpoint start eks-backup\` makes one.`);
}

/** `backups show` of objects. */
export async function showExport(terminal: Terminal, target: Target, name: string | undefined, configured: Configured): Promise<void> {
  const { showExportByHand } = await import('../../activities/kubernetes/export/by-hand.ts');
  const backup = await showExportByHand(target, name, configured);
  terminal.result({ backup });
  terminal.lines(exportLines(backup));
}

/** `backups verify` of objects. */
export async function verifyExport(terminal: Terminal, target: Target, name: string | undefined, configured: Configured): Promise<void> {
  const { verifyExportByHand } = await import('../../activities/kubernetes/export/by-hand.ts');
  const backup = await verifyExportByHand(target, name, configured);
  terminal.result({ backup });
  terminal.lines(verifiedExportLines(backup));
}

function exportRows(found: readonly ListedExport[]): string[] {
  const rows = found.map(({ name, statement, storedBytes, isDeleted }) => [
    name,
    formatTime(statement.takenAt),
    String(statement.revision),
    String(statement.objects),
    statement.consistency === 'revision' ? 'one revision' : 'mixed',
    megabytes(statement.snapshot.bytes),
    megabytes(storedBytes),
    isDeleted ? 'deleted' : '',
  ]);
  return table([['BACKUP', 'TAKEN', 'REVISION', 'OBJECTS', 'CONSISTENCY', 'SIZE', 'STORED', ''], ...rows]);
}

function exportLines({ name, statement, storedBytes, isDeleted }: ListedExport): string[] {
  const { takenAt, revision, target, clusterId, serverVersion, objects, types, leftOut, snapshot, run, consistency } = statement;
  const own = types.filter((type) => type.consistency === 'own');
  const rows = types
    .filter((type) => type.objects > 0)
    .map((type) => [typeNameOf(type), type.version, String(type.objects), type.consistency === 'revision' ? '' : `at ${type.revision}`]);
  return [
    `The backup ${name} of ${target}${isDeleted ? ' (its file was deleted)' : ''}`,
    `  taken        ${formatTime(takenAt)} by ${run}, at revision ${revision}`,
    `  cluster      ${clusterId}, ${visible(serverVersion)}`,
    `  objects      ${objects} of ${types.length} types, ${megabytes(snapshot.bytes)}, stored as ${megabytes(storedBytes)}`,
    `  consistency  ${consistency === 'revision' ? 'all of one revision' : 'not all of one revision:'}`,
    ...own.map((type) => `    ${typeNameOf(type)}: ${visible(type.reason ?? '')}`),
    ...leftOut.map(({ type, reason }) => `  left out     ${visible(type)}: ${visible(reason)}`),
    ...table([['TYPE', 'VERSION', 'OBJECTS', ''], ...rows]).map((line) => `  ${line}`),
  ];
}

function verifiedExportLines(backup: ListedExport): string[] {
  return [`The backup ${backup.name} is whole: every object of it is what was stored.`, ...exportLines(backup).slice(1, 5)];
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
