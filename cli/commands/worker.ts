import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { prepareNamespace } from '../namespace.ts';
import { guardGroup } from '../../lab/process.ts';
import { programCommand } from '../program-files.ts';

export const registerWorker: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('worker'))
    .option('--member <cluster/member>', 'be the worker on the machine of this member of etcd, for etcd-restore (HOLDPOINT_MEMBER)')
    .addHelpText(
      'after',
      [
        '',
        'It reads HOLDPOINT_TASK_QUEUE, HOLDPOINT_CONFIG (holdpoint.yaml), HOLDPOINT_LOG_LEVEL, what the Temporal CLI reads',
        '(TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_PROFILE, TEMPORAL_API_KEY, TEMPORAL_TLS_…: docs/temporal.md)',
        'and whatever the AWS SDK reads (AWS_PROFILE, AWS_ENDPOINT_URL, …). It logs JSON lines to stderr, and prints one line of JSON',
        'to stdout when it is listening.',
        '',
        'Example:',
        '  TEMPORAL_ADDRESS=temporal.internal:7233 HOLDPOINT_CONFIG=/etc/holdpoint.yaml holdpoint worker',
        '  holdpoint worker --member prod/m1',
      ].join('\n'),
    )
    .action(async ({ member, ...options }: CommonOptions & { member?: string }) => {
      const terminal = context.terminal(options);
      const { env, signal, stdout, stderr } = terminal.surroundings;
      await prepareNamespace(env);
      const { command, args } = programCommand('worker/main');
      // A group of its own, so that it can be ended when we are killed: nobody would know of a worker that went on alone.
      const worker = spawn(command, args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...env, ...(member !== undefined && { HOLDPOINT_MEMBER: member }) },
        detached: true,
      });
      const guard = worker.pid === undefined ? undefined : guardGroup(worker.pid);
      worker.stdout.pipe(stdout, { end: false });
      worker.stderr.pipe(stderr, { end: false });
      let listened = false;
      worker.stdout.once('data', () => (listened = true));
      // Ctrl-C reaches only us.
      signal.addEventListener('abort', () => worker.kill('SIGTERM'));
      const [code] = (await once(worker, 'close')) as [number | null];
      guard?.kill('SIGKILL');
      if (!listened) {
        terminal.result({ error: { code: 'worker-failed', message: 'The worker could not start.', remedy: 'It said why on stderr.' } });
      }
      context.exit(code ?? exitCodes.error);
    });
};
