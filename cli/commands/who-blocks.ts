import { byHand } from '../by-hand.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { asOptions, isFree, whoBlocksLines } from '../drain-view.ts';
import { exitCodes } from '../exit-codes.ts';
import { nodeChoice, withNodeOptions, type NodeOptions } from '../node-choice.ts';

export const registerWhoBlocks: RegisterCommand = (program, context) => {
  withNodeOptions(withCommonOptions(program.command('who-blocks')))
    .description(
      'Tells which PodDisruptionBudgets, pods and owners stand in the way of draining nodes, and what to do about each. Reads only, with ' +
        'your own kubeconfig.',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint who-blocks node-a\n  holdpoint who-blocks -l pool=old --json\n' +
        '\nExit codes: 0 nothing, 1 something does (or it failed), 2 bad arguments.',
    )
    .action(async (names: string[], options: CommonOptions & NodeOptions) => {
      const terminal = context.terminal(options);
      const choice = nodeChoice(names, options);
      const where = { ...options, env: terminal.surroundings.env };
      // All of them at once: what waits only for its turn is not in the way.
      const preview = await byHand((module) => module.DrainByHand.plan(choice, { nodesAtOnce: '100%' }, where));
      const { cluster, server } = preview;
      const plan = asOptions(preview.plan);
      const { held = [] } = plan.details;
      terminal.result({
        cluster,
        server,
        nodes: plan.details.nodes,
        blockers: plan.blockers,
        risks: plan.risks,
        held,
        pods: plan.outputs.podsMoved,
      });
      terminal.lines(whoBlocksLines(preview, terminal));
      context.exit(isFree(plan) ? exitCodes.done : exitCodes.error);
    });
};
