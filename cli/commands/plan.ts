import type { Forecast } from '../../domain/plan/forecast.ts';
import {
  withInputOptions,
  withCommonOptions,
  withFullOption,
  type CommonOptions,
  type FullOption,
  type RegisterCommand,
} from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { shellWords } from '../format.ts';
import { forecastLines, obstaclesIn } from '../plan-view.ts';
import { loadRunbook, readInputs, type InputOptions } from '../runbook-files.ts';
import { withHoldpoint } from '../session.ts';

interface PlanOptions extends CommonOptions, FullOption, InputOptions {
  config?: string;
}

export const registerPlan: RegisterCommand = (program, context) => {
  withInputOptions(withFullOption(withCommonOptions(program.command('plan'))))
    .argument('<runbook>', 'name of a shipped runbook, or a path such as ./my.yaml')
    .option('--config <file>', 'holdpoint.yaml to check policies against')
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint plan node-group-rotation -i region=eu-central-1 -i cluster=demo -i nodegroup=blue -i newNodegroup=green\n' +
        '\nExit codes: 0 the plan can be carried out, 1 it is blocked or could not be made, 2 bad input.',
    )
    .action(async (name: string, options: PlanOptions) => {
      const terminal = context.terminal(options);
      const { document, runbook } = await loadRunbook(terminal, name, options.config);
      const inputs = await readInputs(runbook, options);
      const forecast = await withHoldpoint(terminal, (holdpoint) => holdpoint.plan(document, inputs));
      const blocked = obstaclesIn(forecast).length > 0;
      terminal.result({ ...forecast, blocked });
      terminal.lines(forecastLines(forecast, terminal, options));
      terminal.line();
      terminal.line(blocked ? 'It is blocked: it cannot be started now.' : `Start it with: ${startCommand(name, options, forecast)}`);
      context.exit(blocked ? exitCodes.error : exitCodes.done);
    });
};

function startCommand(name: string, { input = [], inputsFile, config }: PlanOptions, { spans }: Forecast): string {
  const file = inputsFile === undefined ? [] : ['-f', inputsFile];
  const inputs = [...file, ...input.flatMap((given) => ['-i', given])];
  const configuration = config === undefined ? [] : ['--config', config];
  return shellWords(['holdpoint', 'start', name, ...inputs, ...configuration, '--plan', spans[0]?.plan.hash ?? '']);
}
