import { verifyEvidence } from '../../client/evidence.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { readConfiguration } from '../session.ts';

export const registerEvidence: RegisterCommand = (program, context) => {
  const evidence = program.command('evidence').summary('check the record of a run');
  withCommonOptions(evidence.command('verify'))
    .summary('check offline that no line of a record was changed, removed or moved, and that its signatures hold')
    .argument('<file>', 'the record, as `holdpoint show` names it')
    .option('--config <file>', 'holdpoint.yaml whose people must be the signers')
    .addHelpText('after', '\nExample:\n  holdpoint evidence verify evidence/r-20261121-7kq2m4.jsonl\n\nExit codes: 0 nothing was tampered with, 1 something was.')
    .action(async (file: string, options: CommonOptions & { config?: string }) => {
      const terminal = context.terminal(options);
      const { colors } = terminal;
      const configuration = await readConfiguration(terminal, options.config);
      const report = await verifyEvidence(file, configuration?.people);
      terminal.result(report);
      for (const { line, sentence } of report.problems) terminal.line(`${colors.red('✗')} line ${line}: ${sentence}`);
      const people = [...new Set(report.signatures.map(({ person }) => person))].join(', ');
      const counted = `${report.entries} entries, ${report.signatures.length} signatures${people ? ` (${people})` : ''}`;
      if (report.ok) terminal.line(`${colors.green('✓')} ${report.run ?? file}: ${counted}; nothing was changed, removed or moved.`);
      else terminal.line(`${colors.red('✗')} ${report.run ?? file}: ${counted}, ${report.problems.length} problems.`);
      if (report.ending !== 'ended') terminal.line('  The record does not end with the end of the run: it is still open, or it was cut off.');
      if (!configuration) terminal.line(colors.dim('  The keys were taken from the record itself; --config holdpoint.yaml checks whose they are.'));
      context.exit(report.ok ? exitCodes.done : exitCodes.error);
    });
};
