import { Command } from 'commander';
import type { CommandContext, CommonOptions, RegisterCommand } from './command.ts';
import { reportError } from './errors.ts';
import { exitCodes } from './exit-codes.ts';
import { commandSummaries } from './operator-commands.ts';
import { parserOutput, Terminal, type Surroundings } from './terminal.ts';
import { versionOfPackage } from './version.ts';

/** A file in `commands/` with what each of its commands does, in a line. */
interface CommandFile {
  summaries: Record<string, string>;
  load: () => Promise<RegisterCommand>;
}

/** A program: its name as it is typed, what it is for, and its commands in the order of the help. */
export interface Program {
  name: string;
  description: string;
  commandFiles: readonly CommandFile[];
  /** Lines below its help. */
  footer: readonly string[];
}

const nodeCommands: readonly CommandFile[] = [
  {
    summaries: { drain: 'drain nodes of any cluster with your own kubeconfig, within every PodDisruptionBudget' },
    load: async () => (await import('./commands/drain.ts')).registerDrain,
  },
  {
    summaries: { uncordon: 'let pods come to nodes again, and take off what a drain has left on them' },
    load: async () => (await import('./commands/uncordon.ts')).registerUncordon,
  },
  {
    summaries: { 'who-blocks': 'tell which budgets, pods and owners stand in the way of draining nodes, and what to do' },
    load: async () => (await import('./commands/who-blocks.ts')).registerWhoBlocks,
  },
];

/** A file is loaded only for a command line that names a command of it: most of them load a lot. */
const commandFiles: readonly CommandFile[] = [
  ...nodeCommands,
  {
    summaries: { check: 'check a cluster before its upgrade: what fails, what is lost, what may disturb somebody; reads only' },
    load: async () => (await import('./commands/check.ts')).registerCheck,
  },
  {
    summaries: { probe: 'write to a PostgreSQL or MySQL as a client does, and measure how long writes are refused' },
    load: async () => (await import('./commands/probe.ts')).registerProbe,
  },
  {
    summaries: { availability: 'tell what is left of the time that a database may refuse writes, and what changes have cost' },
    load: async () => (await import('./commands/availability.ts')).registerAvailability,
  },
  {
    summaries: { demo: 'watch nodes of a cluster on this machine being replaced or emptied, with two signatures on the way' },
    load: async () => (await import('./commands/demo.ts')).registerDemo,
  },
  {
    summaries: { up: 'start Temporal, a sandboxed EKS cluster and a worker, and leave them running until Ctrl-C' },
    load: async () => (await import('./commands/up.ts')).registerUp,
  },
  {
    summaries: { runbooks: 'list the runbooks that come with Holdpoint, or show the inputs and steps of one' },
    load: async () => (await import('./commands/runbooks.ts')).registerRunbooks,
  },
  {
    summaries: { lint: 'check runbooks: every problem with file, line, column and path' },
    load: async () => (await import('./commands/lint.ts')).registerLint,
  },
  {
    summaries: { schema: 'print the JSON Schema of runbooks or of holdpoint.yaml, for editors' },
    load: async () => (await import('./commands/schema.ts')).registerSchema,
  },
  {
    summaries: { plan: 'show what a runbook would do, without touching anything' },
    load: async () => (await import('./commands/plan.ts')).registerPlan,
  },
  {
    summaries: { start: 'start a run, signed by you, of exactly the plan that was shown' },
    load: async () => (await import('./commands/start.ts')).registerStart,
  },
  { summaries: { runs: 'list the open runs, or all of them' }, load: async () => (await import('./commands/runs.ts')).registerRuns },
  {
    summaries: { inbox: 'list what waits for your signature, over all runs' },
    load: async () => (await import('./commands/inbox.ts')).registerInbox,
  },
  {
    summaries: { show: 'show a run: its steps, what is under way, what it waits for' },
    load: async () => (await import('./commands/show.ts')).registerShow,
  },
  {
    summaries: { logs: 'tell what has happened in a run, and what was refused to whom' },
    load: async () => (await import('./commands/logs.ts')).registerLogs,
  },
  {
    summaries: {
      approve: 'sign the plan that a run waits for at its hold',
      reject: 'end a run at its hold, with a reason',
      withdraw: 'take your own approval back',
      'break-glass': 'release a hold alone, in an emergency: others must sign that afterwards',
    },
    load: async () => (await import('./commands/decide.ts')).registerDecide,
  },
  {
    summaries: { delegate: 'let somebody else approve in your place, until a time' },
    load: async () => (await import('./commands/delegate.ts')).registerDelegate,
  },
  { summaries: commandSummaries, load: async () => (await import('./commands/operate.ts')).registerOperate },
  {
    summaries: { sweep: 'lift the cordons and other owner annotations of runs that are over' },
    load: async () => (await import('./commands/sweep.ts')).registerSweep,
  },
  {
    summaries: { notifications: 'send a test message over a channel' },
    load: async () => (await import('./commands/notifications.ts')).registerNotifications,
  },
  { summaries: { evidence: 'check the record of a run' }, load: async () => (await import('./commands/evidence.ts')).registerEvidence },
  {
    summaries: { backups: 'the backups of a cluster: list, show, compare, read one whole, print one object, restore one in a drill' },
    load: async () => (await import('./commands/backups.ts')).registerBackups,
  },
  {
    summaries: { calendar: 'when maintenance may be done: list calendars, preview their openings, explain why one is open or shut' },
    load: async () => (await import('./commands/calendar.ts')).registerCalendar,
  },
  {
    summaries: { schedule: 'run runbooks in the openings of a calendar: apply files, preview, sign in advance, pause' },
    load: async () => (await import('./commands/schedule.ts')).registerSchedule,
  },
  {
    summaries: { policy: 'explain the policies of holdpoint.yaml' },
    load: async () => (await import('./commands/policy.ts')).registerPolicy,
  },
  { summaries: { keys: 'the keys that people sign with' }, load: async () => (await import('./commands/keys.ts')).registerKeys },
  {
    summaries: { worker: 'run a worker: it carries out runs with its own AWS credentials' },
    load: async () => (await import('./commands/worker.ts')).registerWorker,
  },
  {
    summaries: { serve: 'serve the API and the pages in which people look at runs, sign and operate' },
    load: async () => (await import('./commands/serve.ts')).registerServe,
  },
  {
    summaries: { doctor: 'look at Temporal, worker, configuration, keys, AWS and Kubernetes, and tell what does not work' },
    load: async () => (await import('./commands/doctor.ts')).registerDoctor,
  },
  {
    summaries: { bundle: 'make one archive of a run for a bug report, without secrets and names' },
    load: async () => (await import('./commands/bundle.ts')).registerBundle,
  },
  {
    summaries: { completion: 'print a script that completes commands and options in bash, zsh or fish' },
    load: async () => (await import('./commands/completion.ts')).registerCompletion,
  },
  {
    summaries: { lab: 'start the real parts on this machine: a Kubernetes control plane with played nodes' },
    load: async () => (await import('./commands/lab.ts')).registerLab,
  },
];

export const holdpoint: Program = {
  name: 'holdpoint',
  description:
    'Runs maintenance of Kubernetes clusters, step by step, and stops at hold points until the right people have signed the exact plan.',
  commandFiles,
  footer: [
    'First steps:',
    '  holdpoint drain NODE --plan    show what draining a node of your cluster would do',
    '  holdpoint demo                 watch a node group being rotated in a sandbox',
    '  holdpoint up                   start a sandbox to play with by hand',
    '',
    'Exit codes: 0 done, 1 error, 2 usage, 3 waiting at a hold, 4 stuck, 5 aborted, rejected, undone or terminated, 130 interrupted at a',
    'question. Each command says its own: `holdpoint COMMAND --help`.',
  ],
};

/** What is of use beside kubectl, which finds it as its plugin `kubectl-holdpoint`. */
export const kubectlPlugin: Program = {
  name: 'kubectl holdpoint',
  description: 'Drains nodes within every PodDisruptionBudget, faster than `kubectl drain`, and tells what stands in the way.',
  commandFiles: [
    ...nodeCommands,
    {
      summaries: { plan: 'show what draining nodes would do, without touching anything' },
      load: async () => (await import('./commands/drain.ts')).registerDrainPlan,
    },
  ],
  footer: ['Exit codes: 0 done, 1 error or blocked, 2 usage, 4 stuck, 5 stopped by you.'],
};

/** Runs one command line and returns its exit code; never throws. */
export async function runCli(argv: readonly string[], surroundings: Surroundings, whole: Program = holdpoint): Promise<number> {
  let code: number = exitCodes.done;
  // Known before the command line has been understood, so that even its errors come in the wanted form.
  let terminal = new Terminal(surroundings, {
    json: argv.includes('--json'),
    color: !argv.includes('--no-color'),
    verbose: argv.includes('--verbose') || argv.includes('-v'),
  });
  const program = createProgram(whole, surroundings);
  const context: CommandContext = {
    terminal: ({ json = false, color = true, verbose = false }: CommonOptions) =>
      (terminal = new Terminal(surroundings, { json, color, verbose })),
    exit: (wanted: number) => {
      code = wanted;
    },
    declarations: () => declarationsOf(whole, surroundings),
  };
  try {
    await addCommands(program, whole.commandFiles, context, argv);
    for (const command of allCommands(program)) command.exitOverride().configureOutput(parserOutput(surroundings));
    await program.parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    return reportError(error, terminal);
  }
}

/** All commands with all of their options, for what is made of them: a completion, a test. Nothing of them can be run. */
export async function declarationsOf(whole: Program, surroundings: Surroundings): Promise<Command> {
  const program = createProgram(whole, surroundings);
  const nothing = { terminal: () => new Terminal(surroundings, { json: false, color: false }), exit: () => undefined };
  const context: CommandContext = { ...nothing, declarations: async () => program };
  await addCommands(
    program,
    whole.commandFiles,
    context,
    whole.commandFiles.flatMap(({ summaries }) => Object.keys(summaries)),
  );
  return program;
}

/** Commands that the command line does not name are there for the help and for suggestions only. */
async function addCommands(
  program: Command,
  files: readonly CommandFile[],
  context: CommandContext,
  argv: readonly string[],
): Promise<void> {
  for (const { summaries, load } of files) {
    const names = Object.keys(summaries);
    if (names.some((name) => argv.includes(name))) (await load())(program, context);
    else for (const name of names) program.command(name);
  }
  const summaries = new Map(files.flatMap((file) => Object.entries(file.summaries)));
  for (const command of program.commands) command.summary(summaries.get(command.name()) ?? '');
  for (const command of allCommands(program).filter(({ commands }) => commands.length === 0)) completeHelp(command);
}

/** Every command says what it does and how it ends; its own words come first. */
function completeHelp(command: Command): void {
  if (command.description() === '') {
    const summary = command.summary();
    command.description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`);
  }
  let help = '';
  command.configureOutput({ writeOut: (text) => (help += text) });
  command.outputHelp();
  if (!help.includes('Exit codes:')) command.addHelpText('after', '\nExit codes: 0 done, 1 error, 2 bad input.');
}

function createProgram({ name, description, footer }: Program, surroundings: Surroundings): Command {
  return new Command(name)
    .description(description)
    .version(versionOfPackage(), '-V, --version')
    .exitOverride()
    .configureOutput(parserOutput(surroundings))
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .showHelpAfterError('(--help shows what there is)')
    .addHelpText('after', ['', ...footer].join('\n'));
}

function allCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...allCommands(child)]);
}
