import type { Command } from 'commander';
import type { KeptSchedule, Schedules } from '../../client/schedules.ts';
import type { ScheduleDifference } from '../../domain/schedule/schedule.ts';
import type { Schedule } from '../../runbooks/schedule.ts';
import { withCommonOptions, withSignerOptions, type CommandContext, type CommonOptions, type SignerOptions } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatDuration } from '../format.ts';
import { changesBy, loadSchedules } from '../schedules.ts';
import { withHoldpoint } from '../session.ts';
import { signerOf } from '../signer.ts';
import type { Terminal } from '../terminal.ts';

interface ApplyOptions extends CommonOptions, SignerOptions {
  file: string;
  dryRun?: boolean;
  yes?: boolean;
}

/** A file beside what Temporal has. */
interface Change {
  schedule: Schedule;
  before: KeptSchedule | undefined;
  differences: ScheduleDifference[];
  change: 'create' | 'change' | 'none';
}

/** `schedule apply`: writes what differs, signed by the requester of each schedule. */
export function registerApply(schedule: Command, context: CommandContext): void {
  withSignerOptions(withCommonOptions(schedule.command('apply')))
    .summary('make schedules as files say, after showing what that changes')
    .requiredOption('-f, --file <path>', 'a file with `kind: Schedule`, or a folder of them')
    .option('--dry-run', 'only show what would change')
    .option('--yes', 'do not ask')
    .option('--config <file>', 'holdpoint.yaml with people and calendars (else HOLDPOINT_CONFIG, else the one in this folder)')
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint schedule apply -f schedules/ --dry-run\n\nThe requester of each schedule signs it with their own key.\n' +
        'Exit codes: 0 applied, or nothing to do; 1 not applied; 2 bad input.',
    )
    .action(async (options: ApplyOptions) => {
      const terminal = context.terminal(options);
      const loaded = await loadSchedules(terminal, options.file, options.config);
      await withHoldpoint(terminal, async ({ schedules }) => {
        const nowMs = terminal.surroundings.now().getTime();
        const changes: Change[] = [];
        for (const one of loaded) changes.push(changeOf(one, await schedules.find(one.claims.schedule), nowMs));
        terminal.lines(changes.flatMap(changeLines));
        const due = changes.filter(({ change }) => change !== 'none');
        const isWanted = due.length > 0 && options.dryRun !== true && (await agreed(options, terminal));
        if (isWanted) await write(due, schedules, options, terminal);
        const rows = changes.map(({ schedule: { claims }, change, differences }) => ({ name: claims.schedule, change, differences }));
        terminal.result({ schedules: rows, applied: isWanted || due.length === 0 });
        if (due.length === 0) terminal.line('Nothing to do.');
        else if (isWanted)
          terminal.line(`Applied ${due.length} of ${changes.length}. \`holdpoint schedule preview NAME\` shows the next runs.`);
        else terminal.line(options.dryRun ? 'Nothing was applied: this was a dry run.' : 'Not applied.');
        if (due.length > 0 && !isWanted && !options.dryRun) context.exit(exitCodes.error);
      });
    });
}

function changeOf(schedule: Schedule, before: KeptSchedule | undefined, nowMs: number): Change {
  if (!before) return { schedule, before, differences: [], change: 'create' };
  const differences = changesBy(before, schedule, nowMs);
  return { schedule, before, differences, change: differences.length === 0 ? 'none' : 'change' };
}

function changeLines({ schedule, change, differences }: Change): string[] {
  const { schedule: name, person, target } = schedule.claims;
  if (change === 'none') return [`= ${name}  as it is`];
  if (change === 'create')
    return [`+ ${name}  ${schedule.runbook.name} on ${target}, in the name of ${person}, in ${schedule.calendar.name}`];
  return [
    `~ ${name}`,
    ...differences.map(({ field, before, after }) => {
      const isDuration = field === 'jitterMs' || field === 'catchUpMs';
      const shown = (value: string): string => (value === '' ? '(none)' : isDuration ? formatDuration(Number(value)) : value);
      return `    ${isDuration ? field.slice(0, -'Ms'.length) : field}: ${shown(before)} -> ${shown(after)}`;
    }),
  ];
}

async function agreed({ yes }: ApplyOptions, terminal: Terminal): Promise<boolean> {
  if (yes) return true;
  if (!terminal.interactive)
    throw new UsageError('Nobody can be asked here whether to apply this.', 'Give --yes, or --dry-run to only look.');
  return terminal.confirm('Apply it, signed by its requester?');
}

/** Every key is looked for before anything is written. */
async function write(due: readonly Change[], schedules: Schedules, options: ApplyOptions, terminal: Terminal): Promise<void> {
  const signed: { schedule: Schedule; signer: Awaited<ReturnType<typeof signerOf>> }[] = [];
  for (const { schedule } of due) {
    const { person } = schedule.claims;
    if (options.as !== undefined && options.as !== person) {
      throw new UsageError(
        `${schedule.file} names ${person} as its requester, and --as ${options.as}.`,
        `Have ${person} apply it, or change the requester.`,
      );
    }
    signed.push({ schedule, signer: await signerOf(terminal, { ...options, as: person }) });
  }
  const nowMs = terminal.surroundings.now().getTime();
  for (const { schedule, signer } of signed) await schedules.apply(schedule, signer, nowMs);
}
