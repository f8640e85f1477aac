import type { Verb } from '../../workflows/messages.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { signingKey, withHoldpoint } from '../session.ts';

interface OperateOptions extends CommonOptions {
  reason?: string;
  as?: string;
}

const verbs: Record<Verb, { summary: string; done: string }> = {
  pause: { summary: 'stop a run at its next safe point', done: 'will pause at the next safe point' },
  resume: { summary: 'let a paused run go on', done: 'goes on' },
  retry: { summary: 'have the stuck step of a run tried again', done: 'tries the step again' },
  abort: { summary: 'end a run at its next safe point and lift its cordons', done: 'ends at the next safe point; its cordons are lifted' },
};

export const registerOperate: RegisterCommand = (program, context) => {
  for (const [verb, { summary, done }] of Object.entries(verbs) as [Verb, (typeof verbs)[Verb]][]) {
    withCommonOptions(program.command(verb))
      .summary(summary)
      .argument('<run>', 'id of the run, or its target such as eks/eu-central-1/demo')
      .option('--reason <text>', 'why, for the record')
      .option('--as <person>', 'whose key signs (else HOLDPOINT_PERSON, else the only key there is)')
      .addHelpText(
        'after',
        `\nExample:\n  holdpoint ${verb} eks/eu-central-1/demo --reason "page from the shop team"\n\n` +
          'Exit codes: 0 the run was told, 1 it refused, 2 bad input.',
      )
      .action(async (name: string, options: OperateOptions) => {
        const terminal = context.terminal(options);
        const key = await signingKey(terminal, options.as);
        await withHoldpoint(terminal, async (holdpoint) => {
          const { phase } = await holdpoint.operate(name, verb, options.reason ?? '', key);
          terminal.result({ run: name, verb, person: key.person, phase });
          terminal.line(`${name} ${done}.`);
        });
      });
  }
};
