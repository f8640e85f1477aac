import { TargetError } from '../../domain/target.ts';
import { counted } from '../../domain/text.ts';
import { parseTarget } from '../../runbooks/targets.ts';
import type { SweepResult, SweptTarget } from '../../workflows/messages.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { table } from '../layout.ts';
import { withHoldpoint } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export const registerSweep: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('sweep'))
    .description(
      'Lifts what runs that are over have left at nodes: cordons, labels that keep load balancers away, owner annotations. ' +
        'What is not marked as a run’s, or belongs to a run that is open, stays. A worker does the same when it starts.',
    )
    .argument('[target...]', 'such as eks/eu-central-1/demo; without any, all that runs have worked on')
    .option('--dry-run', 'only show what would be lifted')
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint sweep --dry-run\n  holdpoint sweep eks/eu-central-1/demo\n' +
        '\nExit codes: 0 every target was looked at, 1 some could not be, 2 bad arguments.',
    )
    .action(async (targets: string[], { dryRun = false, ...options }: CommonOptions & { dryRun?: boolean }) => {
      const terminal = context.terminal(options);
      for (const target of targets) requireTarget(target);
      const named = targets.length > 0 ? targets : undefined;
      const result = await withHoldpoint(terminal, (holdpoint) => holdpoint.sweep({ targets: named, dryRun }));
      terminal.result({ ...result, dryRun });
      terminal.lines(sweepLines(result, dryRun, terminal));
      if (result.targets.some(({ failure }) => failure !== undefined)) context.exit(exitCodes.error);
    });
};

function requireTarget(text: string): void {
  try {
    parseTarget(text);
  } catch (error) {
    throw error instanceof TargetError ? new UsageError(error.message) : error;
  }
}

function sweepLines({ targets, more, evidence }: SweepResult, dryRun: boolean, terminal: Terminal): string[] {
  if (targets.length === 0) return ['No run has worked on any target, as far as Temporal still knows.'];
  const lines = targets.flatMap((target) => targetLines(target, dryRun, terminal));
  const lifted = targets.reduce((sum, target) => sum + target.lifted.length, 0);
  const failed = targets.filter(({ failure }) => failure !== undefined).length;
  const command = dryRun ? 'would be lifted' : lifted === 1 ? 'was lifted' : 'were lifted';
  lines.push('');
  if (lifted > 0) lines.push(`${counted(lifted, 'owner annotation')} of runs that are over ${command}.`);
  else if (failed < targets.length) lines.push('Nothing was left behind by runs that are over.');
  if (failed > 0) lines.push(`${counted(failed, 'target')} could not be looked at.`);
  if (more) lines.push('There are more targets than one sweep looks at; name those that are missing.');
  if (evidence !== undefined) lines.push(`Evidence: ${evidence}`);
  return lines;
}

function targetLines({ target, lifted, kept, failure }: SweptTarget, dryRun: boolean, { colors }: Terminal): string[] {
  if (failure) return [`${colors.red('✗')} ${colors.bold(target)}: ${failure.reason}`, `    ${colors.dim(failure.remedy)}`];
  const dead = lifted.map(({ node, run }) => [dryRun ? 'dead' : 'lifted', node, run, '']);
  const others = kept.map(({ node, run, why }) => ['stays', node, run, why]);
  if (dead.length + others.length === 0) return [`${colors.green('✓')} ${colors.bold(target)}: no owner annotations`];
  return [`${colors.green('✓')} ${colors.bold(target)}`, ...table([...dead, ...others]).map((row) => `    ${row}`)];
}
