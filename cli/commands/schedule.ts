import type { Command } from 'commander';
import type { KeptSchedule } from '../../client/schedules.ts';
import { comingRuns } from '../../domain/schedule/openings.ts';
import { shortHash } from '../../domain/plan/plan.ts';
import { compileRunbook } from '../../runbooks/compiler/compile.ts';
import { isPath } from '../../runbooks/compiler/reference.ts';
import { withCommonOptions, type CommandContext, type CommonOptions, type RegisterCommand } from '../command.ts';
import { UsageError } from '../errors.ts';
import { formatDuration, timeIn, zoneOfUser } from '../format.ts';
import { table } from '../layout.ts';
import { readConfiguration } from '../runbook-files.ts';
import {
  calendarOfKept,
  clockChangesBetween,
  comingJson,
  holdsOf,
  loadSchedules,
  outcomeLine,
  preApprovalsOf,
  signatureTrouble,
  signedAt,
} from '../schedules.ts';
import { withHoldpoint } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { registerApply } from './schedule-apply.ts';
import { registerApprove, registerRunNow } from './schedule-sign.ts';

const previewCount = 10;

interface ConfigOptions extends CommonOptions {
  config?: string;
}

const configOption = [
  '--config <file>',
  'holdpoint.yaml with people and calendars (else HOLDPOINT_CONFIG, else the one in this folder)',
] as const;

export const registerSchedule: RegisterCommand = (program, context) => {
  const schedule = program.command('schedule');
  registerApply(schedule, context);
  registerList(schedule, context);
  registerShow(schedule, context);
  registerPreview(schedule, context);
  registerApprove(schedule, context);
  registerPause(schedule, context);
  registerDelete(schedule, context);
  registerRunNow(schedule, context);
};

function registerList(schedule: Command, context: CommandContext): void {
  withCommonOptions(schedule.command('list'))
    .summary('the schedules, when each runs next, and what is wrong with it')
    .option(...configOption)
    .addHelpText('after', '\nExample:\n  holdpoint schedule list')
    .action(async (options: ConfigOptions) => {
      const terminal = context.terminal(options);
      const configuration = await readConfiguration(terminal, options.config);
      const nowMs = terminal.surroundings.now().getTime();
      const kept = await withHoldpoint(terminal, ({ schedules }) => schedules.list());
      const rows = kept.map((one) => ({
        ...summary(one, nowMs),
        trouble: configuration ? (signatureTrouble(one, configuration, nowMs) ?? null) : null,
      }));
      terminal.result({ schedules: rows });
      if (rows.length === 0) terminal.line('There are no schedules. `holdpoint schedule apply -f FILE` makes one.');
      terminal.lines(
        table(
          rows.map(({ name, paused, next, runbook, target, requester }) => [
            name,
            paused ? 'paused' : 'on',
            next === null ? 'no alarm set' : timeIn(zoneOfUser(), Date.parse(next)),
            runbook,
            target,
            requester,
          ]),
        ),
      );
      terminal.lines(rows.flatMap(({ name, trouble }) => (trouble === null ? [] : [`${name} starts nothing: ${trouble}`])));
    });
}

function summary({ name, paused, note, input, alarmsMs }: KeptSchedule, nowMs: number) {
  const { person: requester, target, calendar, ticket, ticketLink } = input.claims;
  const next = alarmsMs.find((ms) => ms > nowMs);
  return {
    name,
    paused,
    note,
    requester,
    runbook: input.runbookName,
    target,
    calendar,
    next: next === undefined ? null : new Date(next).toISOString(),
    ...(ticket !== undefined && { ticket: { id: ticket, link: ticketLink } }),
  };
}

function registerShow(schedule: Command, context: CommandContext): void {
  withCommonOptions(schedule.command('show'))
    .summary('a schedule: what it starts and when, who has signed in advance, and what became of its last alarms')
    .argument('<name>', 'the name of a schedule')
    .option(...configOption)
    .addHelpText('after', '\nExample:\n  holdpoint schedule show patch-night')
    .action(async (name: string, options: ConfigOptions) => {
      const terminal = context.terminal(options);
      const configuration = await readConfiguration(terminal, options.config);
      const nowMs = terminal.surroundings.now().getTime();
      await withHoldpoint(terminal, async ({ schedules }) => {
        const kept = await schedules.get(name);
        const outcomes = await schedules.outcomes(kept);
        const trouble = configuration ? signatureTrouble(kept, configuration, nowMs) : undefined;
        const { jitterMs, catchUpMs } = kept.input.claims;
        const preApprovals = preApprovalsOf(kept, nowMs);
        const { missed, overlapped, input } = kept;
        const { inputs } = input;
        terminal.result({
          ...summary(kept, nowMs),
          inputs,
          jitterMs,
          catchUpMs,
          signedAt: signedAt(kept) ?? null,
          trouble: trouble ?? null,
          preApprovals,
          outcomes,
          missed,
          overlapped,
        });
        terminal.lines(shownLines(kept, nowMs));
        terminal.lines(preApprovals.map(preApprovalLine));
        if (trouble !== undefined) terminal.line(terminal.colors.red(`It starts nothing: ${trouble}`));
        if (outcomes.length > 0) terminal.lines(['', 'Its last alarms:', ...outcomes.map((one) => `  ${outcomeLine(one)}`)]);
        if (missed + overlapped > 0) {
          terminal.line(
            `${missed} alarms came too late to be given, and ${overlapped} while another one was still waiting; nothing was started.`,
          );
        }
      });
    });
}

function shownLines(kept: KeptSchedule, nowMs: number): string[] {
  const { name, paused, note, runbook, target, requester, calendar, next, ticket } = summary(kept, nowMs);
  const { jitterMs, catchUpMs } = kept.input.claims;
  const state = paused ? `paused${note === '' ? '' : `: ${note}`}` : 'on';
  return [
    `${name}  ${state}`,
    `${runbook} on ${target}, in the name of ${requester}, who has signed it at ${signedAt(kept) ?? 'no time that can be read'}`,
    ...Object.entries(kept.input.inputs).map(([input, value]) => `  ${input}: ${JSON.stringify(value)}`),
    ...(ticket ? [`Ticket: ${ticket.id} ${ticket.link ?? ''}`.trimEnd()] : []),
    `Calendar: ${calendar}${jitterMs > 0 ? `, up to ${formatDuration(jitterMs)} later by chance` : ''}`,
    `A late start: ${catchUpMs > 0 ? `up to ${formatDuration(catchUpMs)} late, while the window is open` : 'while the window is open'}`,
    `Next alarm: ${next === null ? 'none is set; apply the schedule again' : timeIn(zoneOfUser(), Date.parse(next))}`,
  ];
}

function preApprovalLine({ person, hold, planHash, notBefore }: ReturnType<typeof preApprovalsOf>[number]): string {
  const opens = timeIn(zoneOfUser(), Date.parse(notBefore));
  return `Signed in advance: ${person}, at ${hold}, plan ${shortHash(planHash)}, for the opening at ${opens}`;
}

function registerPreview(schedule: Command, context: CommandContext): void {
  withCommonOptions(schedule.command('preview'))
    .summary('the next 10 runs of a schedule, with the holds that they stop at')
    .argument('<schedule>', 'the name of a schedule, or the path of a file such as ./patch-night.yaml')
    .option(...configOption)
    .addHelpText('after', '\nExample:\n  holdpoint schedule preview ./patch-night.yaml')
    .action(async (named: string, options: ConfigOptions) => {
      const terminal = context.terminal(options);
      const { name, claims, calendar, holds, paused } = await toPreview(named, terminal, options.config);
      const nowMs = terminal.surroundings.now().getTime();
      const runs = comingRuns(calendar, claims.catchUpMs, nowMs, previewCount);
      const lastMs = runs.at(-1)?.opening.closesMs ?? nowMs;
      const changes = clockChangesBetween(calendar, nowMs, lastMs);
      terminal.result({
        schedule: name,
        paused,
        holds,
        runs: runs.map(comingJson),
        clockChanges: changes.map(({ zone, atMs, forwardMs }) => ({
          zone,
          at: new Date(atMs).toISOString(),
          forwardMinutes: forwardMs / 60_000,
        })),
      });
      const stops = holds.map(({ hold, policy }) => `${hold} (${policy})`).join(', ');
      terminal.line(`The next runs of ${name}, in your zone (${zoneOfUser()})${paused ? '; it is paused, and starts none' : ''}.`);
      terminal.line(holds.length === 0 ? 'They stop at no hold.' : `Each stops at: ${stops}; not where it was signed in advance and fits.`);
      const rows = [
        ...runs.map(({ opening, startsMs, freeze }) => {
          const starts = timeIn(zoneOfUser(), startsMs ?? opening.opensMs);
          const why = freeze ? `the freeze "${freeze.freeze.why}" (${freeze.source})` : 'a freeze';
          if (startsMs === undefined) return { atMs: opening.opensMs, text: `  ${starts}  skipped: ${why}` };
          const later = startsMs > opening.opensMs ? `, when ${why} is over` : '';
          return { atMs: opening.opensMs, text: `  ${starts}  until ${timeIn(zoneOfUser(), opening.closesMs)}${later}` };
        }),
        ...changes.map(({ zone, atMs, forwardMs }) => {
          const how = `${forwardMs > 0 ? 'forward' : 'back'} by ${formatDuration(Math.abs(forwardMs))}`;
          return { atMs, text: `  -- ${timeIn(zone, atMs)}: the clocks of ${zone} go ${how} --` };
        }),
      ];
      terminal.lines(rows.sort((one, other) => one.atMs - other.atMs).map(({ text }) => text));
    });
}

/** What is previewed: a file, or what Temporal has. */
async function toPreview(named: string, terminal: Terminal, config: string | undefined) {
  if (isPath(named)) {
    const [found, second] = await loadSchedules(terminal, named, config);
    if (!found || second) throw new UsageError(`${named} holds more than one schedule; name one file.`);
    return {
      name: found.claims.schedule,
      claims: found.claims,
      calendar: found.calendar,
      holds: holdsOf(found.runbook.steps),
      paused: false,
    };
  }
  const kept = await withHoldpoint(terminal, ({ schedules }) => schedules.get(named));
  const { claims, document } = kept.input;
  const calendar = await calendarOfKept(kept, terminal, config);
  if (!calendar) throw new UsageError(`holdpoint.yaml has no calendar "${claims.calendar}", which the schedule ${named} is for.`);
  const { runbook } = compileRunbook(document.text, document.file, await readConfiguration(terminal, config), document.runbooks);
  if (!runbook) throw new UsageError(`The runbook of the schedule ${named} cannot be used any more.`, 'Apply the schedule again.');
  return { name: named, claims, calendar, holds: holdsOf(runbook.steps), paused: kept.paused };
}

function registerPause(schedule: Command, context: CommandContext): void {
  for (const [word, summary, done] of [
    ['pause', 'start no more runs of a schedule until it is resumed', 'Paused'],
    ['resume', 'let a schedule start runs again', 'Resumed'],
  ] as const) {
    withCommonOptions(schedule.command(word))
      .summary(summary)
      .argument('<name>', 'the name of a schedule')
      .option('--note <text>', 'why, for whoever looks at it')
      .addHelpText('after', `\nExample:\n  holdpoint schedule ${word} patch-night --note "storage is being replaced"`)
      .action(async (name: string, options: CommonOptions & { note?: string }) => {
        const terminal = context.terminal(options);
        const note = options.note ?? '';
        await withHoldpoint(terminal, ({ schedules }) => schedules[word](name, note));
        terminal.result({ schedule: name, paused: word === 'pause', note });
        terminal.line(`${done} ${name}. A run that is open goes on.`);
      });
  }
}

function registerDelete(schedule: Command, context: CommandContext): void {
  withCommonOptions(schedule.command('delete'))
    .summary('take a schedule away; a run that is open goes on')
    .argument('<name>', 'the name of a schedule')
    .option('--yes', 'do not ask')
    .addHelpText('after', '\nExample:\n  holdpoint schedule delete patch-night')
    .action(async (name: string, options: CommonOptions & { yes?: boolean }) => {
      const terminal = context.terminal(options);
      await withHoldpoint(terminal, async ({ schedules }) => {
        const { input } = await schedules.get(name);
        if (!options.yes && !terminal.interactive) throw new UsageError('Nobody can be asked here whether to delete it.', 'Give --yes.');
        const question = `Delete ${name}, which starts ${input.runbookName} on ${input.claims.target}?`;
        const isWanted = options.yes === true || (await terminal.confirm(question));
        if (isWanted) await schedules.delete(name);
        terminal.result({ schedule: name, deleted: isWanted });
        terminal.line(isWanted ? `Deleted ${name}.` : 'Not deleted.');
        if (!isWanted) context.exit(1);
      });
    });
}
