import { keyDirectory, knownPeople } from '../../client/keys.ts';
import type { InboxItem } from '../../client/inbox.ts';
import { HoldpointError } from '../../domain/errors.ts';
import { counted } from '../../domain/text.ts';
import { withCommonOptions, type CommonOptions, type RegisterCommand } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { formatDuration, formatTime } from '../format.ts';
import { shortPlanLines } from '../plan-view.ts';
import { awaitedText } from '../run-view.ts';
import { pageLink } from '../page-link.ts';
import { withHoldpoint } from '../session.ts';
import type { Terminal } from '../terminal.ts';

export const registerInbox: RegisterCommand = (program, context) => {
  withCommonOptions(program.command('inbox'))
    .option('--as <person>', 'whose (else HOLDPOINT_PERSON, else that of the only key there is)')
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint inbox --as ada\n\n' +
        'Exit codes: 0 nothing waits for you, 3 something does, 1 some runs could not be read, so that something may be missing.',
    )
    .action(async (options: CommonOptions & { as?: string }) => {
      const terminal = context.terminal(options);
      const person = await personOf(terminal, options.as);
      const inbox = await withHoldpoint(terminal, (holdpoint) => holdpoint.inbox(person));
      const { items, unread, more } = inbox;
      const page = await pageLink(terminal, '/');
      terminal.result({ person, ...inbox, page });
      const { colors } = terminal;
      if (items.length === 0) terminal.line(`Nothing waits for ${person}.`);
      for (const item of items) terminal.lines(inboxLines(item, terminal));
      if (items.length > 0 && page !== undefined) terminal.line(`In a browser: ${page}`);
      for (const { target, reason } of unread)
        terminal.line(`${colors.yellow('!')} ${target} waits at a hold and could not be read: ${reason}`);
      if (more) terminal.line(`${colors.yellow('!')} More runs wait at holds than were looked at.`);
      if (unread.length > 0 || more) context.exit(exitCodes.error);
      else context.exit(items.length > 0 ? exitCodes.holding : exitCodes.done);
    });
};

/** What waits at a hold for a person, in short. */
export function inboxLines(item: InboxItem, terminal: Terminal): string[] {
  const { colors } = terminal;
  const asked = item.askedBy === undefined ? '' : `, asked for by ${item.askedBy}`;
  return [
    `${colors.magenta('■')} ${colors.bold(item.title)} on ${colors.bold(item.target)}  hold ${item.hold} of ${item.run}${asked}`,
    `  started by ${item.requester}; has waited ${formatDuration(item.ageMs)} for ${counted(item.missing, 'signature')}; ` +
      `closes in ${formatDuration(item.leftMs)}, ${formatTime(item.expiresAt)}`,
    ...(item.opening ? [`  ${awaitedText(item.opening, terminal.surroundings.now())}`] : []),
    ...(item.brokenGlass ?? []).map(({ person, hold }) => colors.red(`  ‼ BREAK GLASS: ${person} has released hold ${hold} alone`)),
    ...shortPlanLines(item.steps, colors),
    colors.dim(`  holdpoint show ${item.run}`),
  ];
}

/** To look at what waits, no key is needed. */
async function personOf(terminal: Terminal, as: string | undefined): Promise<string> {
  const { env } = terminal.surroundings;
  const named = as ?? (env.HOLDPOINT_PERSON || undefined);
  if (named !== undefined) return named;
  const directory = keyDirectory(env);
  const people = await knownPeople(directory);
  const [only, second] = people;
  if (only !== undefined && second === undefined) return only;
  const cause = only === undefined ? `there is no key in ${directory}` : `there are keys of ${people.join(', ')} in ${directory}`;
  throw new HoldpointError('person-unnamed', { cause });
}
