import { byHand } from '../by-hand.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { nodeChoice, withNodeOptions, type NodeOptions } from '../node-choice.ts';

export const registerUncordon: RegisterCommand = (program, context) => {
  withNodeOptions(withCommonOptions(program.command('uncordon')))
    .description(
      'Lets pods come to nodes again, and takes off what `holdpoint drain` has left on them: its marks, and the label that keeps load ' +
        'balancers away. A cordon of a run stays, as the run may be going on and lifts it itself in the end.',
    )
    .option('--force', 'also lift cordons of runs')
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint uncordon node-a node-b\n  holdpoint uncordon --nodegroup blue\n' +
        '\nExit codes: 0 all of them are schedulable, 1 some stay cordoned or it failed, 2 bad arguments.',
    )
    .action(async (names: string[], options: CommonOptions & NodeOptions & { force?: boolean }) => {
      const terminal = context.terminal(options);
      const choice = nodeChoice(names, options);
      const where = { ...options, env: terminal.surroundings.env };
      const nodes = await byHand((module) => module.uncordonByHand(choice, where, options.force));
      terminal.result({ nodes });
      for (const { node, result, owner = '', mayBeAtWork } of nodes) {
        const kept = `stays cordoned by run ${owner}, which lifts that itself in the end (\`holdpoint show ${owner}\`; or give --force)`;
        terminal.line(`${node} ${result === 'kept' ? kept : result}`);
        if (result === 'uncordoned' && mayBeAtWork) {
          terminal.line(
            `  It was cordoned by ${owner}. If that is still at work, it cordons the node again: stop it first (Ctrl-C there).`,
          );
        }
      }
      context.exit(nodes.some(({ result }) => result === 'kept') ? exitCodes.error : exitCodes.done);
    });
};
