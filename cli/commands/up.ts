import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { startEnvironment, startSandboxCluster, type Environment, type SandboxCluster } from '../environment.ts';
import type { Terminal } from '../terminal.ts';

const speedDefault = 3;

export const registerUp: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('up'))
    .option('--speed <factor>', 'how much faster than real time the sandbox runs', String(speedDefault))
    .addHelpText('after', '\nExample:\n  holdpoint up --speed 5')
    .action(async (options: CommonOptions & { speed: string }) => {
      const terminal = context.terminal(options);
      const speed = readSpeed(options.speed);
      const { signal } = terminal.surroundings;
      const environment = await startEnvironment({
        startCluster: (start) => startSandboxCluster(speed, start),
        report: (sentence) => terminal.note(sentence),
        signal,
      });
      try {
        terminal.result({ env: environment.env, sandboxUrl: environment.cluster.url, directory: environment.directory });
        explain(environment, speed, terminal);
        const broken = await Promise.race([environment.broken, aborted(signal)]);
        if (broken !== undefined) {
          terminal.noteBlock(broken);
          context.exit(exitCodes.error);
        }
      } finally {
        await environment.stop();
        terminal.note('Stopped.');
      }
    });
};

/** A number that time in a sandbox can run at. Throws UsageError. */
export function readSpeed(text: string): number {
  const speed = Number(text);
  if (speed > 0 && speed <= 1_000) return speed;
  throw new UsageError(`--speed takes a number above 0 and up to 1000, not "${text}".`);
}

function explain({ env }: Environment<SandboxCluster>, speed: number, terminal: Terminal): void {
  const { colors } = terminal;
  const rotation = 'node-group-rotation -i region=eu-central-1 -i cluster=demo -i nodegroup=blue -i newNodegroup=green';
  terminal.lines([
    '',
    colors.bold('Ready. In a second terminal, in this folder:'),
    '',
    ...Object.entries({ ...env, HOLDPOINT_PERSON: 'dana' }).map(([name, value]) => `  export ${name}=${value}`),
    "  alias holdpoint='npm run --silent holdpoint --'",
    '',
    `  holdpoint start ${rotation} --watch`,
    '  holdpoint approve eks/eu-central-1/demo --as ada     (ada and grace may sign, dana has started it)',
    '  holdpoint show eks/eu-central-1/demo --watch',
    '  holdpoint pause eks/eu-central-1/demo                (then resume, or abort)',
    '',
    '  kubectl get pods -A -w',
    '  holdpoint drain ip-10-0-0-4.eu-central-1.compute.internal --plan',
    '  aws --region eu-central-1 eks list-nodegroups --cluster-name demo',
    '',
    colors.dim(
      `Time in the sandbox runs ${speed} times as fast as ours (--speed). A worker that is killed is replaced; holdpoint worker adds one.`,
    ),
    colors.dim('Ctrl-C stops everything; the evidence stays where holdpoint.yaml is.'),
  ]);
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined));
  });
}
