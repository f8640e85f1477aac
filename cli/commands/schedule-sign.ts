import { timeIn, zoneOfUser } from '../format.ts';
import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import type { KeptSchedule } from '../../client/schedules.ts';
import type { Signer } from '../../client/signing.ts';
import { RefusedError } from '../../client/remote-error.ts';
import { readPreApproval } from '../../domain/approval/pre-approval.ts';
import { statementFor } from '../../domain/approval/statement.ts';
import type { Forecast, ForecastSpan } from '../../domain/plan/forecast.ts';
import { comingRuns, openingsForAlarms, type BoundedOpening } from '../../domain/schedule/openings.ts';
import { changesNothing, startHold } from '../../domain/schedule/schedule.ts';
import { momentOf } from '../calendars.ts';
import {
  withCommonOptions,
  withFullOption,
  withSignerOptions,
  type CommandContext,
  type CommonOptions,
  type FullOption,
  type SignerOptions,
} from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import { forecastLines } from '../plan-view.ts';
import { calendarOfKept } from '../schedules.ts';
import { withHoldpoint } from '../session.ts';
import { signerOf } from '../signer.ts';
import type { Terminal } from '../terminal.ts';
import { report, startPlanned, type StartOptions } from './start.ts';

interface ApproveOptions extends CommonOptions, FullOption, SignerOptions {
  opening?: string;
  hold?: string[];
  reason?: string;
  withdraw?: boolean;
  yes?: boolean;
}

/** `schedule approve`: signs what the run of one opening is going to ask. */
export function registerApprove(schedule: Command, context: CommandContext): void {
  withFullOption(withSignerOptions(withCommonOptions(schedule.command('approve'))))
    .summary('sign the plan of a coming run in advance, for one opening')
    .argument('<name>', 'the name of a schedule')
    .option('--opening <time>', 'the opening that this time is in (default: the one that is open, else the next one)')
    .option('--hold <id>', 'only this hold (may be repeated); all that you may sign if left out', (one: string, all: string[] = []) => [
      ...all,
      one,
    ])
    .option('--reason <text>', 'why, for the record')
    .option('--withdraw', 'take your own signatures for that opening back')
    .option('--yes', 'sign what is planned now without asking')
    .option('--config <file>', 'holdpoint.yaml with people and calendars (else HOLDPOINT_CONFIG, else the one in this folder)')
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint schedule approve patch-night --reason "looked at with the storage team"\n\n' +
        'It counts if the plan made in the opening has the same hash; otherwise people are asked as always.',
    )
    .action(async (name: string, options: ApproveOptions) => {
      const terminal = context.terminal(options);
      const signer = await signerOf(terminal, options);
      await withHoldpoint(terminal, async (holdpoint) => {
        const kept = await holdpoint.schedules.get(name);
        const opening = await openingOf(kept, options, terminal);
        if (options.withdraw) {
          await holdpoint.schedules.changePreApprovals(name, (all) => all.filter((jws) => !isOf(jws, signer.person, opening)));
          terminal.result({ schedule: name, withdrawn: true });
          terminal.line('Your signatures for that opening are taken back; a run that has counted them goes on.');
          return;
        }
        const forecast = await holdpoint.plan(kept.input.document, kept.input.inputs);
        requireSame(kept, forecast);
        const spans = spansToSign(forecast, kept, signer.person, options);
        if (!(await agreed(forecast, spans, opening, options, terminal))) {
          terminal.line('Not signed.');
          context.exit(exitCodes.error);
          return;
        }
        const signed = await Promise.all(spans.map((span) => sign(span, kept, opening, options.reason ?? '', signer)));
        await holdpoint.schedules.changePreApprovals(name, (all) => [
          ...all.filter((jws) => !signed.some(({ holds }) => holds(jws))),
          ...signed.map(({ jws }) => jws),
        ]);
        terminal.result({ schedule: name, opens: isoOf(opening.opensMs), holds: spans.map(holdOf) });
        terminal.line(`Signed ${spans.map(holdOf).join(', ')} for the opening at ${timeIn(zoneOfUser(), opening.opensMs)}.`);
      });
    });
}

async function openingOf(kept: KeptSchedule, options: ApproveOptions, terminal: Terminal): Promise<BoundedOpening> {
  const calendar = await calendarOfKept(kept, terminal, options.config);
  if (!calendar)
    throw new UsageError(`holdpoint.yaml has no calendar "${kept.input.claims.calendar}", which the schedule ${kept.name} is for.`);
  const nowMs = terminal.surroundings.now().getTime();
  const atMs = options.opening === undefined ? nowMs : momentOf(options.opening, '--opening');
  const [open] = openingsForAlarms(calendar, atMs, 1);
  const found = options.opening === undefined ? (open ?? comingRuns(calendar, 0, nowMs, 1)[0]?.opening) : open;
  if (!found || (options.opening !== undefined && found.opensMs > atMs)) {
    throw new UsageError(
      `The schedule ${kept.name} has no opening then.`,
      `\`holdpoint schedule preview ${kept.name}\` shows its openings.`,
    );
  }
  return found;
}

/** What the requester has signed is what is planned: a worker would refuse anything else. */
function requireSame({ name, input }: KeptSchedule, { target, runbook }: Forecast): void {
  if (target === input.claims.target && runbook.digest === input.claims.runbook) return;
  throw new RefusedError(
    'schedule-unknown',
    `What Temporal has of the schedule ${name} is not what its requester has signed.`,
    'Apply it again.',
  );
}

function spansToSign({ spans }: Forecast, { name, input }: KeptSchedule, person: string, { hold: wanted }: ApproveOptions): ForecastSpan[] {
  const needed = spans.filter(({ hold, plan }) => hold !== undefined || (person === input.claims.person && !changesNothing(plan)));
  const chosen = wanted ? needed.filter((span) => wanted.includes(holdOf(span))) : needed;
  const missing = wanted?.filter((id) => !chosen.some((span) => holdOf(span) === id)) ?? [];
  if (missing.length > 0)
    throw new UsageError(`A run of ${name} does not stop at ${missing.join(', ')}.`, `It stops at ${needed.map(holdOf).join(', ')}.`);
  if (chosen.length === 0) throw new UsageError(`A run of ${name} stops at no hold that could be foreseen: there is nothing to sign.`);
  return chosen;
}

function holdOf({ hold }: ForecastSpan): string {
  return hold?.id ?? startHold;
}

async function agreed(
  forecast: Forecast,
  spans: readonly ForecastSpan[],
  opening: BoundedOpening,
  options: ApproveOptions,
  terminal: Terminal,
): Promise<boolean> {
  if (options.yes) return true;
  if (!terminal.interactive)
    throw new UsageError('Nobody can be asked here whether to sign this plan.', 'Give --yes for whatever is planned now.');
  terminal.lines(forecastLines(forecast, terminal, options));
  terminal.line();
  const when = `from ${timeIn(zoneOfUser(), opening.opensMs)} until ${timeIn(zoneOfUser(), opening.closesMs)}`;
  return terminal.confirm(`Sign ${spans.map(holdOf).join(', ')} in advance, for the opening ${when}?`);
}

/** A signature takes the place of an earlier one for the same hold and opening. */
async function sign(
  { hold, plan }: ForecastSpan,
  { input }: KeptSchedule,
  { opensMs, closesMs }: BoundedOpening,
  reason: string,
  signer: Signer,
) {
  const { target, runbook, inputsHash: inputs } = input.claims;
  const [id, policy] = hold ? [hold.id, hold.policy] : [startHold, startHold];
  const [notBefore, notAfter] = [isoOf(opensMs), isoOf(closesMs)];
  const { person } = signer;
  const shown = {
    kind: 'pre-approval',
    target,
    runbook,
    inputs,
    hold: id,
    policy,
    planHash: plan.hash,
    notBefore,
    notAfter,
    reason,
  } as const;
  const statement = statementFor(shown, { person, at: new Date().toISOString(), nonce: randomUUID() });
  return { jws: await signer.sign(statement), holds: (jws: string) => isOf(jws, person, { opensMs, closesMs }, id) };
}

function isOf(jws: string, person: string, { opensMs }: BoundedOpening, hold?: string): boolean {
  const statement = readPreApproval(jws);
  if (statement?.person !== person || Date.parse(statement.notBefore) !== opensMs) return false;
  return hold === undefined || statement.hold === hold;
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** `schedule run-now`: an ordinary start of what a schedule starts, by whoever asks for it. */
export function registerRunNow(schedule: Command, context: CommandContext): void {
  withFullOption(withSignerOptions(withCommonOptions(schedule.command('run-now'))))
    .summary('start a run of what a schedule starts, at once, signed by you')
    .argument('<name>', 'the name of a schedule')
    .option('--plan <hash>', 'start only if the plan still has this hash')
    .option('--yes', 'start what is planned now without asking')
    .option('--watch', 'stay and show the run until it needs people or is over')
    .addHelpText('after', '\nExample:\n  holdpoint schedule run-now patch-night --watch')
    .action(async (name: string, options: StartOptions) => {
      const terminal = context.terminal(options);
      const signer = await signerOf(terminal, options);
      await withHoldpoint(terminal, async (holdpoint) => {
        const { input } = await holdpoint.schedules.get(name);
        const { document, inputs, claims } = input;
        const { ticket: id, ticketLink: link } = claims;
        const ticket = id === undefined ? undefined : { id, ...(link !== undefined && { link }) };
        const forecast = await holdpoint.plan(document, inputs);
        const run = await startPlanned(holdpoint, { document, forecast, signer, ticket, options }, terminal);
        if (run === undefined) return context.exit(exitCodes.error);
        context.exit(await report(holdpoint, run, forecast, options, terminal));
      });
    });
}
