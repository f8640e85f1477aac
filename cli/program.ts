import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { CommonOptions, RegisterCommand } from './command.ts';
import { registerDecide } from './commands/decide.ts';
import { registerDemo } from './commands/demo.ts';
import { registerDrain } from './commands/drain.ts';
import { registerEvidence } from './commands/evidence.ts';
import { registerKeys } from './commands/keys.ts';
import { registerLab } from './commands/lab.ts';
import { registerLint } from './commands/lint.ts';
import { registerOperate } from './commands/operate.ts';
import { registerPlan } from './commands/plan.ts';
import { registerRunbooks } from './commands/runbooks.ts';
import { registerRuns } from './commands/runs.ts';
import { registerSchema } from './commands/schema.ts';
import { registerShow } from './commands/show.ts';
import { registerStart } from './commands/start.ts';
import { registerSweep } from './commands/sweep.ts';
import { registerUp } from './commands/up.ts';
import { registerWorker } from './commands/worker.ts';
import { reportError } from './errors.ts';
import { exitCodes } from './exit-codes.ts';
import { Terminal, type Surroundings } from './terminal.ts';

const commands: readonly RegisterCommand[] = [
  registerDemo,
  registerUp,
  registerRunbooks,
  registerLint,
  registerSchema,
  registerPlan,
  registerDrain,
  registerStart,
  registerRuns,
  registerShow,
  registerDecide,
  registerOperate,
  registerSweep,
  registerEvidence,
  registerKeys,
  registerWorker,
  registerLab,
];

/** Runs one command line and returns its exit code; never throws. */
export async function runCli(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  let code: number = exitCodes.done;
  // Known before the command line has been understood, so that even its errors come in the wanted form.
  let terminal = new Terminal(surroundings, { json: argv.includes('--json'), color: !argv.includes('--no-color') });
  const program = createProgram(surroundings);
  const context = {
    terminal: ({ json = false, color = true }: CommonOptions) => (terminal = new Terminal(surroundings, { json, color })),
    exit: (wanted: number) => {
      code = wanted;
    },
  };
  for (const register of commands) register(program, context);
  for (const command of allCommands(program)) command.exitOverride().configureOutput(outputOf(surroundings));
  try {
    await program.parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    return reportError(error, terminal);
  }
}

function createProgram(surroundings: Surroundings): Command {
  return new Command('holdpoint')
    .description(
      'Runs maintenance of Kubernetes clusters, step by step, and stops at hold points until the right people have signed the exact plan.',
    )
    .version(versionOfPackage(), '-V, --version')
    .exitOverride()
    .configureOutput(outputOf(surroundings))
    .showHelpAfterError('(--help shows what there is)')
    .addHelpText(
      'after',
      [
        '',
        'First steps:',
        '  holdpoint demo                 watch a node group being rotated in a sandbox',
        '  holdpoint up                   start a sandbox to play with by hand',
        '',
        'Exit codes: 0 done, 1 error, 2 usage, 3 waiting at a hold, 4 stuck, 5 aborted or rejected.',
      ].join('\n'),
    );
}

function allCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...allCommands(child)]);
}

function outputOf({ stdout, stderr }: Surroundings): { writeOut: (text: string) => void; writeErr: (text: string) => void } {
  return { writeOut: (text) => stdout.write(text), writeErr: (text) => stderr.write(text) };
}

/** package.json is one folder up in the sources and two in a build. */
function versionOfPackage(): string {
  for (const place of ['../package.json', '../../package.json']) {
    try {
      const { version } = JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as { version?: string };
      if (version !== undefined) return version;
    } catch {
      // Not there: the next place.
    }
  }
  return 'unknown';
}
