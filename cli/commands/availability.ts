import type { AvailabilityReport } from '../../activities/availability/by-hand.ts';
import { goalText } from '../../domain/availability/availability.ts';
import { measuredDuration, preciseDuration } from '../../domain/database/probe-report.ts';
import { TargetError } from '../../domain/target.ts';
import { parseTarget } from '../../runbooks/targets.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { counted } from '../../domain/text.ts';
import { formatTime } from '../format.ts';
import { table } from '../layout.ts';
import { configurationFile, readConfiguration } from '../runbook-files.ts';

type Options = CommonOptions & { config?: string };

export const registerAvailability: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('availability'))
    .description(
      'Tells what is left of the time that writes of a database may be refused (`availability` of holdpoint.yaml), and for how long each ' +
        'change of Holdpoint has refused them, as the records of its runs say. It reads the records with your own rights; no worker is ' +
        'needed. Outages that no run has caused, or has not measured, are not in it.',
    )
    .argument('<target>', 'such as rds/eu-central-1/orders')
    .option('--config <file>', 'holdpoint.yaml (else HOLDPOINT_CONFIG, else the one in this folder)')
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint availability rds/eu-central-1/orders\n  holdpoint availability rds/eu-central-1/orders --json\n\n' +
        'Exit codes: 0 something is left, or there is no goal, 7 it is overspent, 1 records cannot be read, 2 bad arguments.',
    )
    .action(async (target: string, options: Options) => {
      const terminal = context.terminal(options);
      requireTarget(target);
      const [file, configuration] = [configurationFile(terminal, options.config), await readConfiguration(terminal, options.config)];
      if (configuration === undefined) throw new UsageError(`There is no file ${file}.`, 'Name holdpoint.yaml with --config.');
      const { readAvailabilityByHand } = await import('../../activities/availability/by-hand.ts');
      const report = await readAvailabilityByHand(target, { file, configuration }, terminal.surroundings.now().getTime());
      terminal.result({ availability: report });
      terminal.lines(availabilityLines(report));
      context.exit((report.standing?.leftMs ?? 0) < 0 ? exitCodes.errorsFound : exitCodes.done);
    });
};

function requireTarget(text: string): void {
  try {
    parseTarget(text);
  } catch (error) {
    throw error instanceof TargetError ? new UsageError(error.message) : error;
  }
}

function availabilityLines({ target, goal, standing, costs, interruptions }: AvailabilityReport): string[] {
  const changes = interruptions.map(({ at, run, step, uses, refusedMs }) => {
    return [formatTime(at), run, step, uses, refusedMs ? measuredDuration(refusedMs) : 'not measured'];
  });
  return [
    ...(goal && standing
      ? [
          `${target}: ${goalText(goal)}`,
          `  budget  ${preciseDuration(standing.budgetMs)} without writes`,
          `  spent   ${preciseDuration(standing.spentMs)} by ${counted(standing.changes, 'change')}${unknownText(standing.notMeasured)}`,
          standing.leftMs < 0
            ? `  left    nothing: overspent by ${preciseDuration(-standing.leftMs)}`
            : `  left    ${preciseDuration(standing.leftMs)}`,
        ]
      : [`${target} has no goal: \`availability\` of holdpoint.yaml has no entry for it.`]),
    ...(costs.length === 0
      ? []
      : [
          '',
          ...table([
            ['ACTION', 'MEASURED', 'MEDIAN', 'WORST'],
            ...costs.map(({ uses, measured, medianMs, worstMs }) => {
              return [uses, String(measured), preciseDuration(medianMs), preciseDuration(worstMs)];
            }),
          ]),
        ]),
    ...(changes.length === 0
      ? ['No run has changed it in a way that refuses writes.']
      : ['', ...table([['BEGAN', 'RUN', 'STEP', 'ACTION', 'WRITES REFUSED'], ...changes])]),
  ];
}

function unknownText(notMeasured: number): string {
  return notMeasured === 0 ? '' : ` (${notMeasured} not measured)`;
}
