import { explain, type Explanation } from '../../domain/approval/explanation.ts';
import { withPeople, type Policy } from '../../domain/approval/policy.ts';
import { ownValue } from '../../domain/map.ts';
import { didYouMean } from '../../domain/suggestion.ts';
import { counted } from '../../domain/text.ts';
import type { Configuration } from '../../runbooks/configuration/configuration.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { formatDuration, listOfNames } from '../format.ts';
import { configurationFile, readConfiguration } from '../runbook-files.ts';
import type { Terminal } from '../terminal.ts';

interface ExplainOptions extends CommonOptions {
  as?: string;
  requester?: string;
  config?: string;
}

export const registerPolicy: RegisterCommand = (program, context) => {
  const policy = program.command('policy');
  withCommonOptions(policy.command('explain'))
    .summary('say who may sign under a policy, who may not and why, and what is missing')
    .argument('<name>', 'name of the policy in holdpoint.yaml')
    .option('--as <people>', 'people who are taken to have signed, such as ada,grace')
    .option('--requester <person>', 'who is taken to have started the run')
    .option('--config <file>', 'holdpoint.yaml that has the policy')
    .addHelpText(
      'after',
      '\nExamples:\n  holdpoint policy explain production-change\n' +
        '  holdpoint policy explain production-change --as ada,grace --requester dana\n\nExit codes: 0 explained, 2 bad input.',
    )
    .action(async (name: string, options: ExplainOptions) => {
      const terminal = context.terminal(options);
      const configuration = await readConfiguration(terminal, options.config);
      if (!configuration) {
        throw new UsageError('No holdpoint.yaml was named, and there is none here.', 'Name it with --config or HOLDPOINT_CONFIG.');
      }
      const people = options.as?.split(',').map((person) => person.trim());
      for (const person of [...(people ?? []), options.requester ?? []].flat()) requirePerson(configuration, person);
      const found = ownValue(configuration.policies, name);
      if (!found) {
        const suggestion = didYouMean(name, Object.keys(configuration.policies));
        const file = configurationFile(terminal, options.config);
        throw new UsageError(`${file} has no policy "${name}".${suggestion}`, `It has: ${Object.keys(configuration.policies).join(', ')}.`);
      }
      const explanation = explain({ ...withPeople(found, configuration), requester: options.requester ?? '' }, people);
      terminal.result(explanation);
      terminal.lines(explanationLines(explanation, found, terminal));
    });
};

function requirePerson({ people }: Configuration, person: string): void {
  if (ownValue(people, person)) return;
  throw new UsageError(
    `There is no "${person}" in people.${didYouMean(person, Object.keys(people))}`,
    'Name people by their ids, such as ada,grace.',
  );
}

function closeInWords({ expiresMs, expiresAtClose }: Policy): string {
  const after = `after ${formatDuration(expiresMs)}`;
  return expiresAtClose ? `at the close of the run's window (${after} where the run has none)` : after;
}

function explanationLines(
  { policy, asks, maySign, mayNotSign, signed, mayBreakGlass, shortfall }: Explanation,
  terms: Policy,
  terminal: Terminal,
): string[] {
  const { colors } = terminal;
  const width = Math.max(...[...maySign, ...mayNotSign].map(({ person }) => person.length), 0);
  const lines = [
    `${colors.bold(policy)}: ${asks}`,
    `  closes ${closeInWords(terms)} without a verdict, or by ${counted(terms.deny ?? 1, 'rejection')}`,
    ...(terms.reason === 'required' ? ['  a decision needs a reason'] : []),
    ...(terms.remindMs === undefined ? [] : [`  reminds each ${formatDuration(terms.remindMs)} whoever may still sign`]),
    ...(terms.escalate ? [`  after ${formatDuration(terms.escalate.afterMs)} people of ${terms.escalate.to} may sign as well`] : []),
    ...(terms.delegate === 'allowed' ? ['  somebody may sign in the place of another, who has signed that'] : []),
    ...maySign.map(({ person, groups }) => `${colors.green('✓')} ${person.padEnd(width)}  ${groups.join(', ')}`),
    ...mayNotSign.map(({ person, why }) => `${colors.red('✗')} ${person.padEnd(width)}  ${why}`),
  ];
  if (mayBreakGlass) {
    lines.push(`${colors.red('‼')} may release the hold alone, which others must sign afterwards: ${listOfNames(mayBreakGlass)}`);
  }
  if (shortfall !== undefined) lines.push(`${colors.red('!')} ${shortfall}`);
  if (!signed) return lines;
  for (const { person, group } of signed.counted) lines.push(`  ${person} counts for ${group}`);
  const { people, missing, inWords, maySign: others } = signed;
  if (missing === 0) return [...lines, `${colors.green('✓')} signed by ${listOfNames(people)}: met`];
  const who = others.length > 0 ? `${listOfNames(others)} may sign` : 'nobody is left who may';
  return [...lines, `  signed by ${listOfNames(people)}: waits for ${inWords} (${who})`];
}
