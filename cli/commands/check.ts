import { Option } from 'commander';
import { countsOf, type Report } from '../../domain/preflight/preflight.ts';
import { waiversFor } from '../../domain/preflight/waiver.ts';
import { formatTarget, TargetError, type Target } from '../../domain/target.ts';
import { minorVersionOf, minorVersionText } from '../../domain/version/version.ts';
import { parseTarget } from '../../runbooks/targets.ts';
import type { CheckOptions } from '../../activities/preflight/check.ts';
import { byOwnRights } from '../by-hand.ts';
import { checkLines, checkMarkdown, junitLines, reportJson, sarifOf } from '../check-view.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { configurationFile, readConfiguration } from '../runbook-files.ts';
import type { Terminal } from '../terminal.ts';
import { versionOfPackage } from '../version.ts';

interface Options extends CommonOptions {
  to?: string;
  config?: string;
  kubeconfig?: string;
  context?: string;
  markdown?: boolean;
  output?: 'junit' | 'sarif';
}

export const registerCheck: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('check'))
    .description(
      'Checks a cluster before its upgrade, and changes nothing: what makes the upgrade fail, what is lost by it, what may disturb. ' +
        'An EKS cluster is read with your own AWS credentials; any other with a kubeconfig. What may not be read is told.',
    )
    .argument('<cluster>', 'such as eks/eu-central-1/demo or kubernetes/lab')
    .option('--to <version>', 'the Kubernetes version to go to, such as 1.37 (default: the next minor version)')
    .option('--config <file>', 'holdpoint.yaml with `clusters` and `waivers` (else HOLDPOINT_CONFIG, else the one in this folder)')
    .option('--kubeconfig <file>', 'for kubernetes/NAME: the kubeconfig to use instead of `clusters` of holdpoint.yaml')
    .option('--context <name>', 'the context of the kubeconfig (default: its current one)')
    .option('--markdown', 'print a Markdown page instead of text')
    .addOption(new Option('-o, --output <form>', 'print a report for pipelines instead of text').choices(['junit', 'sarif']))
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint check eks/eu-central-1/demo --to 1.37\n' +
        '  holdpoint check kubernetes/lab --context lab --markdown > check.md\n' +
        '  holdpoint check eks/eu-central-1/demo -o sarif > check.sarif\n' +
        '\nEvery check with its source: docs/preflight.md.\n' +
        '\nExit codes: 0 nothing but notes, 1 it could not be checked, 2 bad arguments, 6 warnings (or a part not checked), 7 errors.',
    )
    .action(async (cluster: string, options: Options) => {
      const terminal = context.terminal(options);
      const target = targetOf(cluster);
      refuseOptions(target, options);
      const report = await check(target, options, terminal);
      show(report, cluster, options, terminal);
      context.exit(exitCodeOf(report));
    });
};

function targetOf(text: string): Target {
  try {
    return parseTarget(text);
  } catch (error) {
    throw error instanceof TargetError ? new UsageError(error.message) : error;
  }
}

function refuseOptions(target: Target, { to, json, markdown, output, kubeconfig, context }: Options): void {
  if (to !== undefined && !/^\d+\.\d+$/.test(to)) {
    const example = minorVersionOf(to);
    const hint = example ? `Did you mean "${minorVersionText(example)}"?` : 'Give one such as 1.37.';
    throw new UsageError(`--to ${to} is no Kubernetes minor version.`, hint);
  }
  if ([json, markdown, output !== undefined].filter(Boolean).length > 1) {
    throw new UsageError('The report has one form.', 'Give --json, --markdown or -o, one of them.');
  }
  if (target.kind === 'eks' && (kubeconfig !== undefined || context !== undefined)) {
    const why = 'An EKS cluster is read with your AWS credentials, the Kubernetes API as well.';
    throw new UsageError(why, 'Leave --kubeconfig and --context out, or name the cluster kubernetes/NAME.');
  }
}

async function check(target: Target, options: Options, terminal: Terminal): Promise<Report> {
  const configuration = await readConfiguration(terminal, options.config);
  const { kubeconfig, context } = options;
  const isByKubeconfig = kubeconfig !== undefined || context !== undefined;
  const settings: CheckOptions = {
    toVersion: options.to,
    waivers: waiversFor(formatTarget(target), configuration?.waivers ?? []),
    ...(isByKubeconfig && { kubeconfig: { kubeconfig, context, env: terminal.surroundings.env } }),
  };
  const module = await import('../../activities/preflight/check.ts');
  const file = configurationFile(terminal, options.config);
  return byOwnRights(() => module.checkByHand(target, settings, configuration && { file, configuration }));
}

function show(report: Report, cluster: string, { markdown = false, output }: Options, terminal: Terminal): void {
  terminal.result(reportJson(report, cluster));
  if (output === 'sarif') {
    for (const line of JSON.stringify(sarifOf(report, cluster, versionOfPackage()), null, 2).split('\n')) terminal.verbatim(line);
  } else if (output === 'junit') for (const line of junitLines(report, cluster)) terminal.verbatim(line);
  else if (markdown) for (const line of checkMarkdown(report, cluster)) terminal.verbatim(line);
  else terminal.lines(checkLines(report, cluster, terminal));
}

function exitCodeOf(report: Report): number {
  const { error, warning } = countsOf(report);
  if (error > 0) return exitCodes.errorsFound;
  return warning > 0 || report.notChecked.length > 0 ? exitCodes.warningsFound : exitCodes.done;
}
