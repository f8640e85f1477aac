import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { withCommonOptions, type RegisterCommand } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { programCommand } from '../program-files.ts';

export const registerWorker: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('worker'))
    .summary('run a worker: it carries out runs with its own AWS credentials')
    .addHelpText(
      'after',
      [
        '',
        'It reads TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, HOLDPOINT_TASK_QUEUE, HOLDPOINT_CONFIG (holdpoint.yaml), HOLDPOINT_LOG_LEVEL',
        'and whatever the AWS SDK reads (AWS_PROFILE, AWS_ENDPOINT_URL, …). It logs JSON lines to stderr.',
        '',
        'Example:',
        '  TEMPORAL_ADDRESS=temporal.internal:7233 HOLDPOINT_CONFIG=/etc/holdpoint.yaml holdpoint worker',
      ].join('\n'),
    )
    .action(async () => {
      const { signal } = context.terminal({}).surroundings;
      const { command, args } = programCommand('worker/main');
      const worker = spawn(command, args, { stdio: 'inherit' });
      // On a terminal Ctrl-C reaches the worker by itself; elsewhere the signal reaches only us.
      signal.addEventListener('abort', () => worker.kill('SIGTERM'));
      const [code] = (await once(worker, 'exit')) as [number | null];
      context.exit(code ?? exitCodes.error);
    });
};
