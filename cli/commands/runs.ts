import type { RunFilter, RunSummary } from '../../client/holdpoint.ts';
import { phases } from '../../domain/run/state.ts';
import { Option } from 'commander';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { formatDuration, formatTime, timeIn, zoneOfUser } from '../format.ts';
import { table, wideColumns } from '../layout.ts';
import { withHoldpoint } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { timeOf } from './decide.ts';

const closedShownMax = 50;
const shownMax = 1_000;

interface RunsOptions extends CommonOptions {
  all?: boolean;
  target?: string;
  runbook?: string;
  phase?: string;
  requester?: string;
  since?: string;
  limit?: string;
}

export const registerRuns: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('runs'))
    .description(
      'Lists runs, the newest first. Without options the open ones; with --all, --phase of an end, or --since also those that are over, ' +
        'with when and why they ended. It asks Temporal only: no worker is needed.',
    )
    .option('--all', `also the ones that are over (the newest ${closedShownMax}, or --limit)`)
    .option('--target <target>', 'only those on this target, such as eks/eu-central-1/demo')
    .option('--runbook <name>', 'only those of this runbook')
    .addOption(new Option('--phase <phase>', 'only those that stand so').choices(phases))
    .option('--requester <person>', 'only those that this person has started')
    .option('--since <time>', 'only those that began after this time, such as 2026-11-28T00:00Z, or 7d for seven days')
    .option('--limit <number>', `how many at most (up to ${shownMax})`)
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint runs --all\n  holdpoint runs --target eks/eu-central-1/demo --since 7d\n' +
        '  holdpoint runs --phase stuck\n\n' +
        'Exit codes: 0 listed, also where there is none, 1 Temporal could not be asked, 2 bad input.',
    )
    .action(async (options: RunsOptions) => {
      const terminal = context.terminal(options);
      const filter = filterOf(options, terminal.surroundings.now());
      const runs = await withHoldpoint(terminal, (holdpoint) => holdpoint.list(filter));
      terminal.result({ runs });
      if (runs.length === 0) {
        const which = filter.openOnly ? 'There are no open runs; --all shows the ones that are over.' : 'There are no runs.';
        return terminal.line(which);
      }
      terminal.lines(terminal.columns < wideColumns ? runs.flatMap((run) => runBlock(run, terminal)) : runTable(runs, terminal));
    });
};

function filterOf({ all, target, runbook, phase, requester, since, limit }: RunsOptions, now: Date): RunFilter {
  for (const [name, value] of Object.entries({ target, runbook, requester })) {
    if (value !== undefined && !/^[\w./-]+$/.test(value)) throw new UsageError(`--${name} ${JSON.stringify(value)} cannot be a name.`);
  }
  const most = limit === undefined ? undefined : Number(limit);
  if (most !== undefined && !(Number.isInteger(most) && most >= 1 && most <= shownMax)) {
    throw new UsageError(`--limit takes a whole number from 1 to ${shownMax}, not ${JSON.stringify(limit)}.`);
  }
  const isOfPast = all === true || since !== undefined || phase !== undefined;
  return {
    openOnly: !isOfPast,
    reasons: isOfPast,
    most: most ?? (isOfPast ? closedShownMax : undefined),
    target,
    runbook,
    phase,
    requester,
    ...(since !== undefined && { since: sinceOf(since, now) }),
  };
}

const unitsMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000 };

function sinceOf(text: string, now: Date): string {
  const [, count, unit = ''] = /^(\d{1,4})([mhdw])$/.exec(text) ?? [];
  return count === undefined ? timeOf(text) : new Date(now.getTime() - Number(count) * (unitsMs[unit] ?? 0)).toISOString();
}

function phaseText({ phase, opensAt }: RunSummary): string {
  return phase + (phase === 'parked' && opensAt !== undefined ? ` until ${timeIn(zoneOfUser(), Date.parse(opensAt))}` : '');
}

function tookText({ startedAt, endedAt }: RunSummary): string {
  return endedAt === undefined ? '' : formatDuration(Math.max(0, Date.parse(endedAt) - Date.parse(startedAt)));
}

/** Below a run that is over stands how long it took, and why it ended where that is not as planned. */
function runTable(runs: readonly RunSummary[], { colors }: Terminal): string[] {
  const rows = runs.map((run) => [run.run, run.target, run.runbook, phaseText(run), run.requester, formatTime(run.startedAt)]);
  const [head = '', ...lines] = table([['RUN', 'TARGET', 'RUNBOOK', 'PHASE', 'REQUESTER', 'STARTED'], ...rows]);
  return [
    head,
    ...lines.flatMap((line, index) => {
      const run = runs[index];
      const broken = run?.brokenGlass;
      const end = run && tookText(run) !== '' ? [`took ${tookText(run)}`, ...(run.reason === undefined ? [] : [run.reason])] : [];
      return [
        broken === undefined ? line : `${line}  ${colors.red(`‼ BREAK GLASS by ${broken}`)}`,
        ...(end.length === 0 ? [] : [`    ${colors.dim(end.join('; '))}`]),
      ];
    }),
  ];
}

/** On a narrow terminal a run takes some lines: nothing is cut. */
function runBlock(run: RunSummary, { colors }: Terminal): string[] {
  const took = tookText(run);
  return [
    `${colors.bold(run.run)}  ${phaseText(run)}`,
    `  ${run.runbook} on ${run.target}`,
    `  started by ${run.requester}, ${formatTime(run.startedAt)}${took === '' ? '' : `, took ${took}`}`,
    ...(run.reason === undefined ? [] : [`  ${run.reason}`]),
    ...(run.brokenGlass === undefined ? [] : [`  ${colors.red(`‼ BREAK GLASS by ${run.brokenGlass}`)}`]),
  ];
}
