import { mkdir, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { freePort, isFree } from '../../lab/temporal.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { startEnvironment, startSandboxCluster, type Environment, type SandboxCluster } from '../environment.ts';
import { shellWords } from '../format.ts';
import { serveEnvironment, type Serving } from '../serving.ts';
import type { Terminal } from '../terminal.ts';

const speedDefault = 3;
/** Apart from 7233, where a Temporal server may listen that people need. */
const portDefault = 7433;
const portMax = 65_535;

interface UpOptions extends CommonOptions {
  speed: string;
  port?: string;
  writeEnv?: string;
  keep?: string;
}

export const registerUp: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('up'))
    .description(
      'Starts everything that a run needs on this machine, for trying things out: a Temporal dev server, a simulated EKS cluster with ' +
        'six nodes, keys of three people, and a worker that is replaced when it ends. It stays until Ctrl-C.',
    )
    .option('--speed <factor>', 'how much faster than real time the sandbox runs', String(speedDefault))
    .option(
      '--port <number>',
      `where Temporal listens, the sandbox and the pages on the next two (default: ${portDefault}, or free ones where it is taken)`,
    )
    // Not --env-file: Node takes that for itself wherever it stands (nodejs/node#54232), and ends where there is no such file.
    .option('--write-env <file>', 'write what a second terminal needs into this file, to be read with `source FILE`')
    .option('--keep <folder>', 'keep keys, configuration, evidence and what Temporal knows in this folder, and go on with what is there')
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint up --speed 5\n  holdpoint up --keep ~/holdpoint-sandbox --write-env ~/holdpoint.env\n\n' +
        'The cluster is simulated in memory: with --keep it begins anew each time, while runs and their records are those of before.\n\n' +
        'Exit codes: 0 stopped by Ctrl-C, 1 a part could not start or has ended, 2 bad input.',
    )
    .action(async (options: UpOptions) => {
      const terminal = context.terminal(options);
      const speed = readSpeed(options.speed);
      const { signal } = terminal.surroundings;
      const keep = options.keep === undefined ? undefined : resolve(options.keep);
      if (keep !== undefined) await mkdir(keep, { recursive: true, mode: 0o700 });
      const port = await portsFor(options.port, terminal);
      const pagesPort = port === undefined ? await freePort() : port + 2;
      const environment = await startEnvironment({
        startCluster: (start) => startSandboxCluster(speed, start, { port: port && port + 1 }),
        report: (sentence) => terminal.note(sentence),
        signal,
        keep,
        temporalPort: port,
        pagesUrl: `http://localhost:${pagesPort}`,
      });
      let serving: Serving | undefined;
      try {
        serving = await serveEnvironment(terminal, environment);
        if (options.writeEnv !== undefined) await writeFile(options.writeEnv, exportsOf(environment).join('\n') + '\n', { mode: 0o600 });
        const links = serving?.links ?? {};
        terminal.result({ env: environment.env, sandboxUrl: environment.cluster.url, directory: environment.directory, links });
        explain(environment, { speed, writeEnv: options.writeEnv, links }, terminal);
        const broken = await Promise.race([environment.broken, aborted(signal)]);
        if (broken !== undefined) {
          terminal.noteBlock(broken);
          context.exit(exitCodes.error);
        }
      } finally {
        await serving?.stop();
        await environment.stop();
        terminal.note('Stopped.');
      }
    });
};

/** The first of three ports that are free; the usual ones, so that what was pasted once still holds. Throws UsageError. */
async function portsFor(text: string | undefined, terminal: Terminal): Promise<number | undefined> {
  const port = Number(text ?? portDefault);
  if (!Number.isInteger(port) || port < 1 || port + 2 > portMax)
    throw new UsageError(`--port takes a number from 1 to ${portMax - 2}, not "${text}".`);
  const free = (await isFree(port)) && (await isFree(port + 1)) && (await isFree(port + 2));
  if (free) return port;
  if (text !== undefined)
    throw new UsageError(`One of the ports ${port} to ${port + 2} is taken.`, 'Name another one with --port, or end what listens there.');
  terminal.note(`One of the ports ${port} to ${port + 2} is taken; taking free ones.`);
  return undefined;
}

function exportsOf({ env }: Environment<SandboxCluster>): string[] {
  return Object.entries({ ...env, HOLDPOINT_PERSON: 'dana' }).map(([name, value]) => `export ${name}=${shellWords([value])}`);
}

/** A number that time in a sandbox can run at. Throws UsageError. */
export function readSpeed(text: string): number {
  const speed = Number(text);
  if (speed > 0 && speed <= 1_000) return speed;
  throw new UsageError(`--speed takes a number above 0 and up to 1000, not "${text}".`);
}

function explain(
  environment: Environment<SandboxCluster>,
  { speed, writeEnv, links }: { speed: number; writeEnv?: string; links: Record<string, string> },
  terminal: Terminal,
): void {
  const { colors } = terminal;
  const rotation = 'node-group-rotation -i region=eu-central-1 -i cluster=demo -i nodegroup=blue -i newNodegroup=green';
  terminal.lines([
    '',
    colors.bold('Ready. In a second terminal, in this folder:'),
    '',
    ...(writeEnv === undefined ? exportsOf(environment).map((line) => `  ${line}`) : [`  source ${shellWords([writeEnv])}`]),
    "  alias holdpoint='npm run --silent holdpoint --'",
    '',
    `  holdpoint start ${rotation} --watch`,
    '  holdpoint approve eks/eu-central-1/demo --as ada     (ada and grace may sign, dana has started it)',
    '  holdpoint show eks/eu-central-1/demo --watch',
    '  holdpoint pause eks/eu-central-1/demo                (then resume, or abort)',
    '',
    ...(Object.keys(links).length === 0 ? [] : ['In a browser, signed in as one of them (the links are only good while this runs):', '']),
    ...Object.entries(links).map(([person, link]) => `  ${person.padEnd(6)} ${link}`),
    ...(Object.keys(links).length === 0 ? [] : ['']),
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
