import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { formatTime, timeIn, zoneOfUser } from '../format.ts';
import { table } from '../layout.ts';
import { withHoldpoint } from '../session.ts';

const closedShownMax = 50;

export const registerRuns: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('runs'))
    .option('--all', `also the ones that are over (the newest ${closedShownMax})`)
    .addHelpText('after', '\nExample:\n  holdpoint runs --all')
    .action(async (options: CommonOptions & { all?: boolean }) => {
      const terminal = context.terminal(options);
      const most = options.all ? closedShownMax : undefined;
      const runs = await withHoldpoint(terminal, (holdpoint) => holdpoint.list({ openOnly: !options.all, most }));
      terminal.result({ runs });
      if (runs.length === 0) {
        return terminal.line(options.all ? 'There are no runs.' : 'There are no open runs; --all shows the ones that are over.');
      }
      const rows = runs.map(({ run, target, runbook, phase, requester, startedAt, opensAt }) => {
        const until = phase === 'parked' && opensAt !== undefined ? ` until ${timeIn(zoneOfUser(), Date.parse(opensAt))}` : '';
        return [run, target, runbook, phase + until, requester, formatTime(startedAt)];
      });
      const [head = '', ...lines] = table([['RUN', 'TARGET', 'RUNBOOK', 'PHASE', 'REQUESTER', 'STARTED'], ...rows]);
      terminal.line(head);
      for (const [index, line] of lines.entries()) {
        const broken = runs[index]?.brokenGlass;
        terminal.line(broken === undefined ? line : `${line}  ${terminal.colors.red(`‼ BREAK GLASS by ${broken}`)}`);
      }
    });
};
