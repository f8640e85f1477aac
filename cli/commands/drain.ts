import type { DrainPreview } from '../../activities/kubernetes/drain/preview.ts';
import type { KubeconfigOptions } from '../../activities/kubernetes/client/kubeconfig.ts';
import { HoldpointError, type ErrorCode } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { actionInputSchema } from '../../runbooks/grammar/json-schema.ts';
import { addActionOptions } from '../action-options.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { drainPreviewLines } from '../drain-view.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';

interface DrainOptions extends CommonOptions {
  plan?: boolean;
  kubeconfig?: string;
  context?: string;
}

const runbook = 'node-maintenance';

/** The registry speaks of the worker; here it is the user's own machine and rights that are in question. */
const remedies: Partial<Record<ErrorCode, string>> = {
  'kubernetes-unreachable': 'Check the server of the kubeconfig, and that it can be reached from this machine; then try again.',
  'kubernetes-denied': 'Log in again, or name a context with --context whose user may list nodes, pods, budgets and workloads.',
  'kubernetes-refused': 'Read the reason, and check that the kubeconfig leads to a Kubernetes API.',
};

export const registerDrain: RegisterCommand = (program, context) => {
  const command = withCommonOptions(program.command('drain'))
    .description(
      'Plans a drain as the action kubernetes.drain would, and shows what would happen, in what order, how long it takes, what ' +
        'blocks it and what to do about that. It reads with your own kubeconfig and needs neither Temporal nor a worker. ' +
        'Rights to drain that you lack yourself block it too; a run has those of its worker.',
    )
    .argument('<node...>', 'names of the nodes, as kubectl shows them')
    .option('--plan', 'only show the plan; draining itself is done by a runbook')
    .option('--kubeconfig <file>', 'the kubeconfig to use (default: KUBECONFIG, then ~/.kube/config)')
    .option('--context <name>', 'the context of the kubeconfig (default: its current one)');
  const readInput = addActionOptions(command, actionInputSchema('kubernetes.drain'), ['nodes']);
  command
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint drain ip-10-0-0-4.eu-central-1.compute.internal --plan\n' +
        '  holdpoint drain node-a node-b node-c --plan --nodes-at-once 2 --context staging\n' +
        '  holdpoint drain node-a --plan --force --delete-emptydir-data --json\n' +
        '\nExit codes: 0 nothing blocks the drain, 1 it is blocked or could not be planned, 2 bad arguments.',
    )
    .action(async (names: string[], options: DrainOptions) => {
      const terminal = context.terminal(options);
      if (!options.plan) throw refusalToDrain(names);
      const nodes = [...new Set(names)];
      const input = readInput(options);
      const preview = await planDrain(nodes, input, { ...options, env: terminal.surroundings.env });
      const blocked = preview.plan.blockers.length > 0;
      terminal.result({ ...preview, blocked });
      terminal.lines(drainPreviewLines(preview, terminal));
      if (!blocked) terminal.lines(['', `Drain them with: ${startCommand(nodes, inputsOf(input, preview))}`]);
      context.exit(blocked ? exitCodes.error : exitCodes.done);
    });
};

function refusalToDrain(nodes: readonly string[]): UsageError {
  return new UsageError(
    'Draining is done by a runbook, which has its plan signed first; this command only plans, with --plan.',
    `Drain them with: ${startCommand(nodes, {})}`,
  );
}

/** The runbook takes what the plan was made with, but for shares: of those the number that they come to. */
function inputsOf(input: JsonObject, { plan }: DrainPreview): JsonObject {
  const { nodesAtOnce } = plan.facts.settings as JsonObject;
  return input.nodesAtOnce === undefined || nodesAtOnce === undefined ? input : { ...input, nodesAtOnce };
}

function startCommand(nodes: readonly string[], input: JsonObject): string {
  const given = Object.entries(input).map(([name, value]) => ` -i ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return `holdpoint start ${runbook} -i target=TARGET -i 'nodes=${JSON.stringify(nodes)}'${given.join('')}`;
}

async function planDrain(nodes: string[], input: JsonObject, where: KubeconfigOptions): Promise<DrainPreview> {
  // The Kubernetes client takes half a second to load, which no other command needs.
  const { previewDrain } = await import('../../activities/kubernetes/drain/preview.ts');
  try {
    const { kubeconfig, context, env } = where;
    return await previewDrain({ ...input, nodes }, { kubeconfig, context, env });
  } catch (error) {
    if (!(error instanceof HoldpointError)) throw error;
    if (error.code === 'action-input-invalid') throw new UsageError(error.message, '`holdpoint drain --help` shows what there is.');
    const remedy = remedies[error.code];
    throw remedy === undefined ? error : new HoldpointError(error.code, error.details, { cause: error, remedy });
  }
}
