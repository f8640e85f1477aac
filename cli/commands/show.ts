import { summaryOfHold } from '../../client/hold-summary.ts';
import { withCommonOptions, withFullOption, type CommonOptions, type FullOption, type RegisterCommand } from '../command.ts';
import { exitCodeOf, exitCodes } from '../exit-codes.ts';
import { runLines } from '../run-view.ts';
import { withHoldpoint } from '../session.ts';
import { isOver, RunWatch } from '../watch.ts';

export const registerShow: RegisterCommand = (program, context) => {
  withFullOption(withCommonOptions(program.command('show')))
    .argument('<run>', 'id of the run, or its target such as eks/eu-central-1/demo')
    .option('--watch', 'stay and show it until it is over (Ctrl-C leaves the run alone)')
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint show eks/eu-central-1/demo --watch\n\n' +
        'Exit codes: 0 going on or done, 1 no worker answers (what is last known is shown), 3 waiting at a hold, 4 stuck,\n' +
        '5 aborted, rejected, undone or terminated.',
    )
    .action(async (name: string, options: CommonOptions & FullOption & { watch?: boolean }) => {
      const terminal = context.terminal(options);
      const live = await withHoldpoint(terminal, (holdpoint) =>
        options.watch ? new RunWatch(holdpoint, terminal).watch(name, isOver) : holdpoint.show(name),
      );
      const { state, progress, retrying, lastKnown, outsideEnd } = live;
      const holdSummary = state.hold && { holdSummary: summaryOfHold(state.hold, terminal.surroundings.now().getTime()) };
      terminal.result({ ...state, ...holdSummary, progress, retrying, lastKnown, outsideEnd });
      if (!options.watch || !terminal.interactive) terminal.lines(runLines(live, terminal, { plan: true, full: options.full }));
      context.exit(lastKnown ? exitCodes.error : exitCodeOf(live.state.phase));
    });
};
