import type { HistoryEntry, OutsideEnd } from '../../client/last-known.ts';
import { toldOf } from '../../domain/evidence/narrative.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { formatTime, formatClock } from '../format.ts';
import { wrapped } from '../layout.ts';
import { withHoldpoint } from '../session.ts';
import type { Terminal } from '../terminal.ts';

interface LogsOptions extends CommonOptions {
  full?: boolean;
  refused?: boolean;
}

export const registerLogs: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('logs'))
    .description(
      'Tells what has happened in a run, in the order in which it happened: plans, signatures, steps, what was refused to whom and ' +
        'why. It reads what Temporal has, so no worker is needed; `holdpoint evidence show` has the same with its proof.',
    )
    .argument('<run>', 'id of the run, or its target such as eks/eu-central-1/demo')
    .option('--full', 'also what belongs to each, such as every change of a plan')
    .option('--refused', 'only the attempts that were refused')
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint logs eks/eu-central-1/demo\n  holdpoint logs r-20261121-7kq2m4 --refused\n\n' +
        'Exit codes: 0 told, 1 there is no such run or Temporal could not be asked.',
    )
    .action(async (name: string, options: LogsOptions) => {
      const terminal = context.terminal(options);
      const { entries: all, ...log } = await withHoldpoint(terminal, (holdpoint) => holdpoint.log(name));
      const entries = options.refused ? all.filter(({ kind }) => kind === 'attempt.refused') : all;
      terminal.result({ ...log, entries });
      terminal.lines(logLines(entries, terminal, options));
      if (log.outsideEnd) terminal.line(outsideLine(log.outsideEnd, terminal));
      if (log.incomplete) terminal.note('Some entries are too large for Temporal and are in the record only: `holdpoint evidence show`.');
      if (entries.length === 0) terminal.line(options.refused ? 'No attempt was refused.' : 'Nothing has been recorded yet.');
    });
};

/** A line for each entry, with the day where it changes. */
export function logLines(entries: readonly HistoryEntry[], terminal: Terminal, { full = false }: { full?: boolean } = {}): string[] {
  const { colors, columns } = terminal;
  let day = '';
  return entries.flatMap(({ at, kind, body }) => {
    const time = new Date(at);
    const today = formatTime(at).split(',', 1)[0] ?? '';
    const heading = today === day ? [] : [colors.bold(today)];
    day = today;
    const { says, more = [] } = toldOf({ kind, body });
    const clock = formatClock(time);
    const paint = loud[kind];
    const line = `${colors.dim(clock)}  ${paint === undefined ? says : colors[paint](says)}`;
    const indent = clock.length + 2;
    return [...heading, ...wrapped(line, columns, indent), ...(full ? more.map((text) => `${' '.repeat(indent)}${text}`) : [])];
  });
}

/** What nobody should overlook. */
const loud: Readonly<Record<string, 'red' | 'yellow' | 'green' | 'magenta' | undefined>> = {
  'step.stuck': 'red',
  'step.failed': 'red',
  'glass.broken': 'red',
  'attempt.refused': 'yellow',
  'hold.drifted': 'yellow',
  'hold.expired': 'yellow',
  'hold.requested': 'magenta',
  'decision.accepted': 'green',
};

function outsideLine({ how, at, by, reason }: OutsideEnd, { colors }: Terminal): string {
  const what = `its workflow has ${how === 'terminated' ? 'been terminated' : how} in Temporal${by === '' ? '' : ` by ${by}`}`;
  return `${colors.dim(formatClock(new Date(at)))}  ${colors.red(`${what}: ${reason || 'no reason given'}`)}`;
}
