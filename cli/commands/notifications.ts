import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { withHoldpoint } from '../session.ts';

export const registerNotifications: RegisterCommand = (program, context) => {
  const notifications = program.command('notifications').description('Tells people of what happens to runs.');
  withCommonOptions(notifications.command('test'))
    .description('Has a worker send a message that is marked as a test over a channel of its holdpoint.yaml.')
    .requiredOption('--channel <name>', 'a channel in `notifications` of holdpoint.yaml')
    .addHelpText('after', '\nExample:\n  holdpoint notifications test --channel sre\n\nExit codes: 0 delivered, 1 not delivered.')
    .action(async ({ channel, ...options }: CommonOptions & { channel: string }) => {
      const terminal = context.terminal(options);
      const result = await withHoldpoint(terminal, (holdpoint) => holdpoint.testChannel(channel));
      terminal.result({ channel, ...result });
      if (result.delivered) return terminal.line(`A test message was delivered over ${channel}.`);
      terminal.line(`The test message was not delivered over ${channel}: ${result.reason ?? 'no reason given'}.`);
      terminal.line('Correct the channel in holdpoint.yaml, or its secret, and try again.');
      context.exit(exitCodes.error);
    });
};
