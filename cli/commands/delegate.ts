import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { delegationMaxMs } from '../../domain/approval/delegation.ts';
import { isPersonId, statementFor } from '../../domain/approval/statement.ts';
import { withCommonOptions, withSignerOptions, type CommonOptions, type RegisterCommand, type SignerOptions } from '../command.ts';
import { UsageError } from '../errors.ts';
import { formatTime } from '../format.ts';
import { signerOf } from '../signer.ts';
import { timeOf } from './decide.ts';

interface DelegateOptions extends CommonOptions, SignerOptions {
  to: string;
  until: string;
  policy?: string;
  group?: string;
  reason?: string;
  output: string;
}

export const registerDelegate: RegisterCommand = (program, context) => {
  withSignerOptions(withCommonOptions(program.command('delegate')))
    .requiredOption('--to <person>', 'who may approve in your place')
    .requiredOption('--until <time>', 'when that ends, such as 2026-12-01T09:00+09:00; 31 days from now at the latest')
    .requiredOption('--output <file>', 'file for the signed delegation, which the other person needs')
    .option('--policy <name>', 'for holds of that policy')
    .option('--group <name>', 'for holds at which you could sign for that group only')
    .option('--reason <text>', 'why, for the record')
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint delegate --as ada --to grace --policy production-change \\\n' +
        '    --until 2026-12-01T09:00+09:00 --output ada-to-grace.jws\n\n' +
        'The other person approves with `--delegation FILE`; the policy must say `delegate: allowed`.\n\n' +
        'Exit codes: 0 signed, 2 bad input.',
    )
    .action(async ({ to, policy, group, reason = '', output, ...options }: DelegateOptions) => {
      const terminal = context.terminal(options);
      if ((policy === undefined) === (group === undefined)) throw new UsageError('Name either --policy or --group.');
      const scope = policy === undefined ? `group/${group}` : `policy/${policy}`;
      const until = timeOf(options.until);
      const now = terminal.surroundings.now();
      const lastsMs = Date.parse(until) - now.getTime();
      if (lastsMs <= 0 || lastsMs > delegationMaxMs) throw new UsageError(`${options.until} is not within the next 31 days.`);
      const signer = await signerOf(terminal, options);
      if (!isPersonId(to) || to === signer.person)
        throw new UsageError(`"${to}" cannot approve in your place.`, 'Name somebody else by their id.');
      const signedBy = { person: signer.person, at: now.toISOString(), nonce: randomUUID() };
      const statement = statementFor({ kind: 'delegation', to, scope, until, reason }, signedBy);
      // A file that is there may be somebody else's delegation.
      await writeFile(output, `${await signer.sign(statement)}\n`, { flag: 'wx', mode: 0o600 }).catch((error: unknown) => {
        throw new UsageError(`The delegation cannot be written to ${output}: ${(error as Error).message}.`, 'Name a new file.');
      });
      terminal.result({ person: signer.person, to, scope, until, file: output });
      terminal.line(
        `${to} may approve in the place of ${signer.person} (${scope}) until ${formatTime(until)}, with --delegation ${output}.`,
      );
    });
};
