import type { RunbookDocument } from '../../domain/runbook.ts';
import type { Forecast } from '../../domain/plan/forecast.ts';
import type { Holdpoint } from '../../client/holdpoint.ts';
import { RefusedError } from '../../client/remote-error.ts';
import type { Signer } from '../../client/signing.ts';
import { differenceOf } from '../../domain/plan/difference.ts';
import { ticketProblem, type Ticket } from '../../domain/ticket.ts';
import { hashDigitsMin, shortHash, type SpanPlan } from '../../domain/plan/plan.ts';
import type { Admission } from '../../workflows/messages.ts';
import {
  withInputOptions,
  withCommonOptions,
  withFullOption,
  withSignerOptions,
  type CommonOptions,
  type FullOption,
  type RegisterCommand,
  type SignerOptions,
} from '../command.ts';
import { UsageError } from '../errors.ts';
import { exitCodeOf, exitCodes } from '../exit-codes.ts';
import { hashMatches } from '../format.ts';
import { differenceLines, forecastLines, obstaclesIn } from '../plan-view.ts';
import { runLines } from '../run-view.ts';
import { pageLink } from '../page-link.ts';
import { loadRunbook, readInputs, type InputOptions } from '../runbook-files.ts';
import { withHoldpoint } from '../session.ts';
import { signerOf } from '../signer.ts';
import type { Terminal } from '../terminal.ts';
import { needsPeople, RunWatch } from '../watch.ts';

/** The options of a start. */
export interface StartOptions extends CommonOptions, FullOption, InputOptions, SignerOptions {
  config?: string;
  plan?: string;
  yes?: boolean;
  watch?: boolean;
  ticket?: string;
  ticketLink?: string;
}

export const registerStart: RegisterCommand = (program, context) => {
  withInputOptions(withFullOption(withSignerOptions(withCommonOptions(program.command('start')))))
    .argument('<runbook>', 'name of a shipped runbook, or a path such as ./my.yaml')
    .option('--plan <hash>', 'start only if the plan still has this hash (from `holdpoint plan`)')
    .option('--yes', 'start what is planned now without asking')
    .option('--ticket <id>', 'what the run is done for, such as CHG-1234; it is part of what you sign')
    .option('--ticket-link <url>', 'where that ticket is found')
    .option('--watch', 'stay and show the run until it needs people or is over')
    .option('--config <file>', 'holdpoint.yaml to check policies against')
    .addHelpText(
      'after',
      '\nExample:\n  holdpoint start node-group-rotation ' +
        '-i region=eu-central-1 -i cluster=demo -i nodegroup=blue -i newNodegroup=green --watch\n' +
        '\nExit codes: 0 started (with --watch: done), 1 refused, 2 bad input; ' +
        'with --watch also 3 waiting at a hold, 4 stuck, 5 aborted, rejected, undone or terminated.',
    )
    .action(async (name: string, options: StartOptions) => {
      const terminal = context.terminal(options);
      const loaded = await loadRunbook(terminal, name, options.config);
      const inputs = await readInputs(loaded.runbook, options);
      const ticket = ticketIn(options);
      const signer = await signerOf(terminal, options);
      await withHoldpoint(terminal, async (holdpoint) => {
        const forecast = await holdpoint.plan(loaded.document, inputs);
        const run = await startPlanned(holdpoint, { document: loaded.document, forecast, signer, ticket, options }, terminal);
        if (run === undefined) return context.exit(exitCodes.error);
        context.exit(await report(holdpoint, run, forecast, options, terminal));
      });
    });
};

interface Start {
  document: RunbookDocument;
  forecast: Forecast;
  signer: Signer;
  ticket: Ticket | undefined;
  options: StartOptions;
}

/** Starts the run if the person wants this plan; undefined where they do not. */
export async function startPlanned(
  holdpoint: Holdpoint,
  { document, forecast, signer, ticket, options }: Start,
  terminal: Terminal,
): Promise<string | undefined> {
  const shown = forecast.spans[0]?.plan;
  if (!shown) throw new UsageError('The runbook has no steps.');
  requireInputsThatWork(forecast);
  if (options.plan !== undefined) requireSameHash(options.plan, shown);
  else if (!(await agreed(forecast, signer.person, options, terminal))) {
    terminal.line('Not started.');
    return undefined;
  }
  const { run, admission } = await holdpoint.start(document, forecast, signer, ticket);
  if (!admission.admitted) throw refused(admission, shown, terminal);
  return run;
}

/** What blocks the first part is for the run to refuse, which knows it best; nobody else would say that a later part can never work. */
function requireInputsThatWork(forecast: Forecast): void {
  const [wrong] = obstaclesIn(forecast).filter(({ ofInputs }) => ofInputs);
  if (!wrong) return;
  const told = `With these inputs the run cannot work: ${wrong.object}: ${wrong.reason} Nothing was started.`;
  throw new RefusedError('plan-blocked', told, wrong.remedy);
}

function ticketIn({ ticket: id, ticketLink: link }: StartOptions): Ticket | undefined {
  if (id === undefined && link === undefined) return undefined;
  if (id === undefined) throw new UsageError('A --ticket-link belongs to a --ticket.');
  const ticket = { id, ...(link !== undefined && { link }) };
  const problem = ticketProblem(ticket);
  if (problem !== undefined) throw new UsageError(problem);
  return ticket;
}

function requireSameHash(typed: string, shown: SpanPlan): void {
  if (hashMatches(shown.hash, typed)) return;
  throw new RefusedError(
    'plan-changed',
    `The plan is ${shortHash(shown.hash)} now, not ${shortHash(typed)}. Nothing was started.`,
    `Look at it again with \`holdpoint plan\`, then start with its hash (at least ${hashDigitsMin} digits).`,
  );
}

async function agreed(forecast: Forecast, person: string, options: StartOptions, terminal: Terminal): Promise<boolean> {
  if (options.yes) return true;
  if (!terminal.interactive) {
    const remedy = 'Give --plan HASH (from `holdpoint plan`), or --yes for whatever is planned now.';
    throw new UsageError('Nobody can be asked here whether to start this plan.', remedy);
  }
  terminal.lines(forecastLines(forecast, terminal, options));
  terminal.line();
  return terminal.confirm(`Start it, signing the first part as ${person}?`);
}

function refused(admission: Admission & { admitted: false }, shown: SpanPlan, terminal: Terminal): RefusedError {
  const { code, reason, remedy, plan } = admission;
  if (plan && plan.hash !== shown.hash) {
    terminal.lines(['What has changed since it was shown:', ...differenceLines(differenceOf(shown, plan), terminal)]);
  }
  return new RefusedError(code, `The run was refused: ${reason} Nothing was touched.`, remedy, true);
}

/** Says that a run was started, or shows it until it needs people; returns the exit code. */
export async function report(
  holdpoint: Holdpoint,
  run: string,
  forecast: Forecast,
  options: StartOptions,
  terminal: Terminal,
): Promise<number> {
  if (!options.watch) {
    const page = await pageLink(terminal, `/runs/${run}`, options.config);
    terminal.result({ run, target: forecast.target, page });
    terminal.line(`Started ${run} on ${forecast.target}. Watch it with: holdpoint show ${run} --watch`);
    if (page !== undefined) terminal.line(`In a browser: ${page}`);
    return exitCodes.done;
  }
  const live = await new RunWatch(holdpoint, terminal).watch(run, needsPeople);
  terminal.result(live.state);
  if (!terminal.interactive) terminal.lines(runLines(live, terminal, { plan: true }));
  return exitCodeOf(live.state.phase);
}
