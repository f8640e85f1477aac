import type { CommandName } from '../../domain/approval/statement.ts';
import type { CommandResult } from '../../workflows/messages.ts';
import { withCommonOptions, withSignerOptions, type CommonOptions, type RegisterCommand, type SignerOptions } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { remembering, tellReceipt } from '../receipt.ts';
import { withHoldpoint } from '../session.ts';
import { signerOf } from '../signer.ts';
import { commandSummaries } from '../operator-commands.ts';

interface OperateOptions extends CommonOptions, SignerOptions {
  reason?: string;
}

/** What is said once a run has taken the word. */
const taken: Record<CommandName, string> = {
  pause: 'will pause at the next safe point',
  resume: 'goes on',
  retry: 'tries the step again',
  skip: 'leaves the step out',
  done: 'takes the step for done: a look agrees',
  adopt: 'adopts the change',
  proceed: 'goes on outside of its window',
  undo: 'goes back',
  abort: 'ends at the next safe point; its cordons are lifted',
};

export const registerOperate: RegisterCommand = (program, context) => {
  for (const command of Object.keys(commandSummaries) as CommandName[]) {
    withSignerOptions(withCommonOptions(program.command(command)))
      .argument('<run>', 'id of the run, or its target such as eks/eu-central-1/demo')
      .option('--reason <text>', 'why, for the record and for whoever has to sign')
      .addHelpText(
        'after',
        `\nExample:\n  holdpoint ${command} eks/eu-central-1/demo --reason "page from the shop team"\n\n` +
          'Exit codes: 0 the run was told, 1 it refused, 2 bad input, 3 a second person has to sign first.',
      )
      .action(async (name: string, options: OperateOptions) => {
        const terminal = context.terminal(options);
        const signer = remembering(await signerOf(terminal, options));
        await withHoldpoint(terminal, async (holdpoint) => {
          const answer = await holdpoint.operate(name, command, options.reason ?? '', signer);
          const receipt = await tellReceipt(terminal, signer, options.config);
          terminal.result({ run: name, command, person: signer.person, ...answer, receipt });
          terminal.lines(answerLines(name, command, answer));
          context.exit(exitCodeOf(answer));
        });
      });
  }
};

function exitCodeOf({ hold, notice }: CommandResult): number {
  if (notice !== undefined) return exitCodes.error;
  return hold === undefined ? exitCodes.done : exitCodes.holding;
}

function answerLines(name: string, command: CommandName, { hold, notice }: CommandResult): string[] {
  if (notice !== undefined) return [notice];
  if (hold === undefined) return [`${name} ${taken[command]}.`];
  return [
    `${name} waits for others to sign that (hold ${hold}):`,
    `  holdpoint show ${name}      what is to be signed, and by whom`,
    `  holdpoint approve ${name}`,
    `  holdpoint resume ${name}    take it back`,
  ];
}
