import type { StepState } from '../domain/run/steps.ts';
import type { AwaitedOpening, WindowState } from '../domain/run/window.ts';
import type { BrokenGlass, HoldState, NotificationTrouble, Phase, RunState } from '../domain/run/state.ts';
import { reviewedHold } from '../domain/approval/break-glass.ts';
import { readDelegation } from '../domain/approval/delegation.ts';
import { standingOf, type Decision } from '../domain/approval/request.ts';
import { shortHash } from '../domain/plan/plan.ts';
import type { LiveRun, Retrying } from '../client/holdpoint.ts';
import { counted, formatDuration, formatTime, listOfNames, timeIn, zoneOfUser } from './format.ts';
import { differenceLines, hashLines, planLines, questionLine, signedTextLines } from './plan-view.ts';
import type { FullOption } from './command.ts';
import type { Colors, Terminal } from './terminal.ts';
import { commandSummaries } from './operator-commands.ts';
import { fit, itemLines } from './progress-view.ts';

/** A run as a person sees it: its steps, what is under way, and what is asked of whom. */
export function runLines(live: LiveRun, terminal: Terminal, options: { plan: boolean } & FullOption): string[] {
  const { colors } = terminal;
  const { state } = live;
  const lines = [
    `${colors.bold(state.runbook.title || state.run)} on ${colors.bold(state.target)}`,
    `${colors.dim('run')} ${state.run}  ${colors.dim('started by')} ${startedBy(state)}  ${phaseText(state, colors)}`,
    ...(state.ticket ? [`${colors.dim('ticket')} ${[state.ticket.id, state.ticket.link ?? ''].join('  ').trimEnd()}`] : []),
    ...(state.brokenGlass ?? []).map((broken) => brokenGlassLine(broken, colors)),
    '',
    ...stepTable(live, terminal),
  ];
  if (live.retrying.length > 0) lines.push('', ...live.retrying.map((retrying) => `${colors.yellow('!')} ${retryingText(retrying)}`));
  if (state.hold) lines.push('', ...holdLines(state, state.hold, terminal, options));
  if (state.notice) lines.push('', `${colors.yellow('!')} ${state.notice}`);
  if (state.notifications?.length) lines.push('', ...state.notifications.map((trouble) => untoldLine(trouble, colors)));
  if (state.stuck) lines.push('', ...stuckLines(state, colors));
  if (state.phase === 'parked' && state.window) lines.push('', ...windowLines(state.window, terminal));
  if (state.phase === 'parked' || state.phase === 'paused' || state.phase === 'stuck') lines.push(...choiceLines(state, colors));
  if (state.ended) lines.push('', ...endLines(state, state.ended, colors));
  return lines;
}

/** Whatever else is shown, nobody overlooks that somebody has released a hold alone. */
function brokenGlassLine({ hold, person, reason, at, verdict }: BrokenGlass, colors: Colors): string {
  const afterwards = verdict ?? 'others must sign that when the work is done';
  return colors.red(`‼ BREAK GLASS: ${person} released hold ${hold} alone (${formatTime(at)}): “${reason}”; ${afterwards}`);
}

/** A schedule starts runs in the name of its requester. */
function startedBy({ requester, schedule }: RunState): string {
  return schedule ? `schedule ${schedule.name} of ${requester} (until ${formatTime(schedule.closes)})` : requester;
}

/** That people could not be told of something, and why. */
function untoldLine({ event, channel, reason, state, attempts }: NotificationTrouble, colors: Colors): string {
  const becomes = state === 'trying' ? 'is being tried again' : `was given up after ${counted(attempts, 'attempt')}`;
  return `${colors.yellow('!')} channel ${channel} was not told of "${event}", which ${becomes}: ${reason}`;
}

/** That something is being tried again, and why. */
export function retryingText({ step, reason, attempt }: Retrying): string {
  return `${step === undefined ? '' : `${step} is `}being tried again (attempt ${attempt}): ${reason}`;
}

function phaseText(state: RunState, colors: Colors): string {
  const paints: Record<Phase, (text: string) => string> = {
    planning: colors.cyan,
    running: colors.cyan,
    holding: colors.magenta,
    parked: colors.yellow,
    paused: colors.yellow,
    stuck: colors.red,
    undoing: colors.yellow,
    done: colors.green,
    rejected: colors.yellow,
    aborted: colors.yellow,
    undone: colors.yellow,
    refused: colors.red,
  };
  return paints[state.phase](state.phase) + pauseText(state);
}

function pauseText({ phase, pauseRequestedBy: person }: RunState): string {
  if (person === undefined) return '';
  return phase === 'paused' ? ` (asked by ${person})` : ` (pausing, asked by ${person})`;
}

function stepTable({ state, progress }: LiveRun, terminal: Terminal): string[] {
  const { colors } = terminal;
  const names = new Map(state.steps.map((step) => [step.id, nameOf(step, state.steps)]));
  const idWidth = Math.max(...[...names.values()].map((name) => name.length), 4);
  const usesWidth = Math.max(...state.steps.map(({ uses }) => uses.length), 4);
  return state.steps.flatMap((step) => {
    const running = step.status === 'running' ? progress[step.id] : undefined;
    const summary = running?.summary ?? step.summary ?? '';
    const time = stepTime(step, terminal);
    const name = `${symbolOf(step, colors)} ${(names.get(step.id) ?? step.id).padEnd(idWidth)}  ${colors.dim(step.uses.padEnd(usesWidth))}`;
    const row = `${name}  ${time.padStart(9)}  ${summary}`.trimEnd();
    const items = running ? itemLines(running, colors) : [];
    return [row, ...items].map((line) => fit(line, terminal.columns));
  });
}

/** What belongs to a list or a runbook stands below it, indented, without repeating its name. */
function nameOf({ id, parent }: StepState, steps: readonly StepState[]): string {
  if (parent === undefined) return id;
  let depth = 1;
  for (let above = steps.find((step) => step.id === parent); above?.parent !== undefined; depth += 1) {
    const { parent: next } = above;
    above = steps.find((step) => step.id === next);
  }
  return '  '.repeat(depth) + id.slice(parent.length).replace(/^\//, '');
}

function symbolOf({ status, kind }: StepState, colors: Colors): string {
  switch (status) {
    case 'done':
      return colors.green('✓');
    case 'running':
      return colors.cyan('▶');
    case 'holding':
      return colors.magenta('■');
    case 'stuck':
      return colors.red('✗');
    case 'skipped':
      return colors.dim('-');
    case 'stopped':
    case 'kept':
      return colors.yellow('■');
    case 'undone':
      return colors.yellow('↶');
    case 'waiting':
      return colors.dim(kind === 'hold' ? '□' : '·');
  }
}

function stepTime({ startedAt, endedAt }: StepState, terminal: Terminal): string {
  if (startedAt === undefined) return '';
  const end = endedAt === undefined ? terminal.surroundings.now().getTime() : Date.parse(endedAt);
  return formatDuration(Math.max(0, end - Date.parse(startedAt)));
}

/**
 * A hold as it is put to the approvers: what has drifted, the plan if wanted, whose turn it is; after that the question, in its author's
 * words, and last what is signed. Nothing that somebody else has written comes after the hash.
 */
export function holdLines(state: RunState, hold: HoldState, terminal: Terminal, options: { plan: boolean } & FullOption): string[] {
  const { colors } = terminal;
  const { request } = hold;
  const standing = standingOf(request, hold.decisions, terminal.surroundings.now().getTime());
  const signed = hold.decisions.filter(({ decision }) => decision === 'approve').map(signatureText);
  const lines = [`${colors.magenta('■')} ${colors.bold(`Hold ${request.hold}`)} of ${state.run}`];
  if (hold.drift) {
    lines.push(`  ${colors.yellow('The plan has changed after it was signed; the signatures are void. What differs:')}`);
    lines.push(...differenceLines(hold.drift, terminal));
  }
  if (hold.changed) {
    lines.push(`  ${colors.yellow('Since the request before this one, which was not signed, the plan has changed:')}`);
    lines.push(...differenceLines(hold.changed, terminal));
  }
  if (options.plan) lines.push(...planLines(hold.plan, terminal));
  if (options.full) lines.push(...signedTextLines(hold.plan, colors));
  const reviewed = reviewedHold(request.hold);
  if (reviewed !== undefined) {
    const about = `${request.askedBy} has released hold ${reviewed} alone; the work is over. Approve if that was right, or reject.`;
    lines.push(`  ${colors.red(about)} Neither undoes anything; \`holdpoint abort ${state.run}\` ends the run unsigned.`);
  } else if (request.askedBy !== undefined)
    lines.push(`  asked for by ${request.askedBy}, who can take it back: holdpoint resume ${state.run}`);
  if (signed.length > 0) lines.push(`  signed by ${listOfNames(signed)}`);
  for (const { person, reason } of hold.notInAdvance ?? []) lines.push(`  what ${person} has signed in advance does not count: ${reason}`);
  const waits = standing.state === 'waiting' ? standing : undefined;
  if (waits) {
    const who = waits.maySign.length > 0 ? `${listOfNames(waits.maySign)} may sign` : 'nobody is left who may';
    lines.push(`  waits for ${waits.inWords} (${who}); ${closingText(request.expiresAt, terminal)}`);
    if (hold.opening) lines.push(`  ${awaitedText(hold.opening, terminal.surroundings.now())}`);
    const { escalate } = request.policy;
    if (escalate) {
      const fromMs = Date.parse(request.requestedAt) + escalate.afterMs;
      const since = request.escalatedAt ?? new Date(fromMs).toISOString();
      lines.push(`  people of ${escalate.to} may sign as well from ${formatTime(since)} on`);
    }
  }
  if (request.question !== '') lines.push(questionLine(request.question, colors, request.askedBy && 'Holdpoint'));
  if (options.plan) lines.push(...hashLines(hold.plan, colors));
  if (waits) lines.push(colors.dim(`  holdpoint approve ${state.run} --plan ${shortHash(request.planHash)}`));
  return lines;
}

function closingText(expiresAt: string, terminal: Terminal): string {
  const leftMs = Date.parse(expiresAt) - terminal.surroundings.now().getTime();
  return `closes ${leftMs > 0 ? `in ${formatDuration(leftMs)}, ` : ''}${formatTime(expiresAt)}`;
}

function signatureText({ person, from, inPlaceOf, delegation, inAdvance }: Decision): string {
  if (inPlaceOf !== undefined) {
    const until = readDelegation(delegation ?? '')?.until;
    return `${person} in the place of ${inPlaceOf} (who has delegated it until ${formatTime(until)})`;
  }
  if (inAdvance) return `${person} (in advance, for this opening)`;
  return from === undefined ? person : `${person} (counts from ${formatTime(from)} on)`;
}

function stuckLines(state: RunState, colors: Colors): string[] {
  const { stuck } = state;
  if (!stuck) return [];
  return [`${colors.red('✗')} ${colors.bold(`Stuck at step ${stuck.step}`)}: ${stuck.reason}`, `  ${stuck.remedy}`];
}

/** Why a run waits for its window, and until when, in the zone of whoever looks. */
function windowLines({ step, reason, opensAt }: WindowState, { colors, surroundings }: Terminal): string[] {
  const until =
    opensAt === undefined
      ? 'No opening is in sight.'
      : `It goes on by itself at ${openingText(opensAt, surroundings.now())}, when the plan has been looked at once more.`;
  return [`${colors.yellow('■')} ${colors.bold(`Parked before step ${step}`)}: ${reason}`, `  ${until}`];
}

/** When the steps below a hold may begin, as its window was when the signatures were requested. */
export function awaitedText({ calendar, opensAt, closesAt, frozenFor }: AwaitedOpening, now: Date): string {
  const freeze = frozenFor.length > 0 ? `; a freeze keeps it shut until then: ${frozenFor.join('; ')}` : '';
  const [opensMs, closesMs] = [opensAt, closesAt].map((at) => (at === undefined ? undefined : Date.parse(at)));
  if (opensMs === undefined && closesMs === undefined) return `window ${calendar}: no opening is in sight${freeze}`;
  const close = closesAt === undefined ? 'no close is in sight' : `until ${openingText(closesAt, now)}`;
  if (opensAt !== undefined && opensMs !== undefined && opensMs > now.getTime()) {
    return `window ${calendar}: opens ${openingText(opensAt, now)}, ${close}${freeze}`;
  }
  if (closesMs !== undefined && closesMs <= now.getTime())
    return `window ${calendar}: its opening is over; the steps wait for the next one`;
  return `window ${calendar}: open, ${close}`;
}

/** When a window opens, in the zone of whoever looks, and in how long. */
export function openingText(opensAt: string, now: Date): string {
  const atMs = Date.parse(opensAt);
  return `${timeIn(zoneOfUser(), atMs)} (in ${formatDuration(Math.max(0, atMs - now.getTime()))})`;
}

/** What an operator can say, each as the command that says it. */
function choiceLines({ run, commands }: RunState, colors: Colors): string[] {
  // Whoever looks at a run that stands still wants to know how it goes on.
  const choices = commands.filter((command) => command !== 'pause');
  const width = Math.max(...choices.map((command) => command.length), 0);
  return choices.map((command) => colors.dim(`  holdpoint ${command.padEnd(width)} ${run}   ${commandSummaries[command]}`));
}

function endLines(state: RunState, ended: NonNullable<RunState['ended']>, colors: Colors): string[] {
  const reason = ended.reason.startsWith(state.phase) ? ended.reason : `${state.phase}: ${ended.reason}`;
  const lines = [`${state.phase === 'done' ? colors.green('✓') : colors.yellow('■')} ${reason} (${formatTime(ended.at)})`];
  if (ended.leftovers.length > 0) lines.push('  What it leaves behind:', ...ended.leftovers.map((text) => `  - ${text}`));
  if (state.evidence) lines.push(colors.dim(`  holdpoint evidence verify ${state.evidence}`));
  return lines;
}
