import type { Progress } from '../domain/action.ts';
import type { StepState } from '../domain/run/steps.ts';
import type { AwaitedOpening, WindowState } from '../domain/run/window.ts';
import type { BrokenGlass, HoldState, NotificationTrouble, Phase, RunState } from '../domain/run/state.ts';
import { findAction } from '../runbooks/actions/index.ts';
import { reviewedHold } from '../domain/approval/break-glass.ts';
import { readDelegation } from '../domain/approval/delegation.ts';
import { standingOf, type Decision } from '../domain/approval/request.ts';
import { shortHash } from '../domain/plan/plan.ts';
import { counted } from '../domain/text.ts';
import type { LiveRun, Retrying } from '../client/holdpoint.ts';
import { formatDuration, formatTime, listOfNames, timeIn, zoneOfUser } from './format.ts';
import { differenceLines, hashLines, planLines, questionLine, signedTextLines } from './plan-view.ts';
import type { FullOption } from './command.ts';
import type { Colors, Terminal } from './terminal.ts';
import { commandSummaries, operatorWords } from './operator-commands.ts';
import { longestWordOf, padded, paddedStart, wideColumns, widthOf, wrapped } from './layout.ts';
import { unansweredLines } from './silence-view.ts';
import { itemLines } from './progress-view.ts';

/** Actions that cordon nodes until the run ends. */
const cordoning: readonly string[] = ['kubernetes.drain', 'kubernetes.cordon'];

/** A run as a person sees it: its steps, what is under way, and what is asked of whom. */
export function runLines(live: LiveRun, terminal: Terminal, options: { plan: boolean } & FullOption): string[] {
  const { colors } = terminal;
  const { state } = live;
  const lines = [
    `${colors.bold(state.runbook.title || state.run)} on ${colors.bold(state.target)}`,
    `${colors.dim('run')} ${state.run}  ${colors.dim('started by')} ${startedBy(state)}  ${phaseText(state, colors)}`,
    ...(state.ticket ? [`${colors.dim('ticket')} ${[state.ticket.id, state.ticket.link ?? ''].join('  ').trimEnd()}`] : []),
    ...(state.brokenGlass ?? []).map((broken) => brokenGlassLine(broken, colors)),
    ...(live.lastKnown ? unansweredLines(state, live.lastKnown, terminal) : []),
    '',
    ...stepTable(live, terminal),
  ];
  if (live.retrying.length > 0) lines.push('', ...live.retrying.map((retrying) => `${colors.yellow('!')} ${retryingText(retrying)}`));
  if (state.hold) lines.push('', ...holdLines(state, state.hold, terminal, { ...options, signable: !live.lastKnown }));
  if (state.notice) lines.push('', `${colors.yellow('!')} ${state.notice}`);
  if (state.notifications?.length) lines.push('', ...state.notifications.map((trouble) => untoldLine(trouble, colors)));
  if (state.stuck) lines.push('', ...stuckLines(state, colors));
  if (state.phase === 'parked' && state.window) lines.push('', ...windowLines(state.window, terminal));
  if (state.phase === 'parked' || state.phase === 'paused' || state.phase === 'stuck') {
    lines.push(...(state.phase === 'paused' ? [''] : []), ...stillLines(state), ...choiceLines(state, terminal));
  }
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
  const why = workerGone.test(reason) ? `${lostWorker} (${reason})` : reason;
  return `${step === undefined ? '' : `${step} is `}being tried again (attempt ${attempt}): ${why}`;
}

/** What Temporal says of an activity whose worker has died or is cut off. */
const workerGone = /^activity heartbeat timeout$/i;
const lostWorker = 'the worker that carried it out was not heard of any more; another one looks at the world and goes on from there';

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
    terminated: colors.red,
  };
  return paints[state.phase](state.phase) + pauseText(state);
}

function pauseText({ phase, pauseRequestedBy: person }: RunState): string {
  if (person === undefined) return '';
  return phase === 'paused' ? ` (asked by ${person})` : ` (pausing, asked by ${person})`;
}

/** Room that a sentence needs beside the columns of a step; otherwise it stands below. */
const summaryRoomMin = 28;
const timeWidthMin = { narrow: 6, wide: 9 };

/** A row for each step. What a step says of itself is wrapped, never cut; on a narrow terminal the names of actions go first. */
function stepTable(live: LiveRun, terminal: Terminal): string[] {
  const { colors, columns } = terminal;
  const { steps } = live.state;
  const names = new Map(steps.map((step) => [step.id, nameOf(step, steps)]));
  const times = new Map(steps.map((step) => [step.id, stepTime(step, live, terminal)]));
  const idWidth = Math.max(...[...names.values()].map(widthOf), 4);
  const usesWidth = columns < wideColumns ? 0 : Math.max(...steps.map(({ uses }) => widthOf(uses)), 4);
  const timeWidth = Math.max(...[...times.values()].map(widthOf), columns < wideColumns ? timeWidthMin.narrow : timeWidthMin.wide);
  return steps.flatMap((step) => {
    const shown = progressOf(step, live);
    // A step that is stuck says why; how far it was stands in the rows below it.
    const summary = (step.status === 'stuck' ? step.summary : shown?.summary) ?? step.summary ?? '';
    const uses = usesWidth === 0 ? '' : `${colors.dim(padded(step.uses, usesWidth))}  `;
    const name = `${symbolOf(step, colors)} ${padded(names.get(step.id) ?? step.id, idWidth)}  ${uses}`;
    const row = `${name}${paddedStart(times.get(step.id) ?? '', timeWidth)}`;
    return [...besides(row, summary, columns), ...itemLinesOf(step, shown, terminal)];
  });
}

/** A step that is stuck has a remedy, which takes the place of what could be done while it waited. */
function itemLinesOf({ status }: StepState, shown: Progress | undefined, terminal: Terminal): string[] {
  if (!shown || status === 'done') return [];
  return itemLines(status === 'running' ? shown : { ...shown, todo: [] }, terminal);
}

function besides(row: string, summary: string, columns: number): string[] {
  if (summary === '') return [row.trimEnd()];
  const indent = widthOf(row) + 2;
  const roomMin = Math.max(summaryRoomMin, longestWordOf(summary));
  if (columns - indent < roomMin && widthOf(summary) > columns - indent) return [row, ...wrapped(`    ${summary}`, columns, 4)];
  return wrapped(`${row}  ${summary}`, columns, indent);
}

/** How far a step is: what its worker says now, or how far it was when it was stopped. */
function progressOf(step: StepState, { progress }: LiveRun): Progress | undefined {
  if (step.status === 'running') return progress[step.id] ?? step.progress;
  return step.status === 'stuck' || step.status === 'stopped' ? step.progress : undefined;
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

/** How long a step has taken. Clocks stop with their step, with the run, and with what is last known of it. */
function stepTime({ id, startedAt, endedAt, status }: StepState, { state, lastKnown }: LiveRun, terminal: Terminal): string {
  if (startedAt === undefined) return '';
  const isGoingOn = ['running', 'holding', 'stuck'].includes(status);
  const now = isGoingOn ? terminal.surroundings.now().toISOString() : undefined;
  const lastHeard = lastKnown?.carriedOut.find(({ step }) => step === id)?.at ?? lastKnown?.at;
  const end = endedAt ?? state.ended?.at ?? lastHeard ?? now;
  return end === undefined ? '' : formatDuration(Math.max(0, Date.parse(end) - Date.parse(startedAt)));
}

/** How a hold is shown; what is not known for certain is not offered to be signed. */
type HoldOptions = { plan: boolean; signable?: boolean } & FullOption;

/**
 * A hold as it is put to the approvers: what has drifted, the plan if wanted, whose turn it is; after that the question, in its author's
 * words, and last what is signed. Nothing that somebody else has written comes after the hash.
 */
export function holdLines(state: RunState, hold: HoldState, terminal: Terminal, options: HoldOptions): string[] {
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
  const isShut = request.closed !== undefined || Date.parse(request.expiresAt) <= terminal.surroundings.now().getTime();
  const waits = standing.state === 'waiting' && !isShut ? standing : undefined;
  if (isShut && standing.state === 'waiting') lines.push(`  ${colors.yellow(shutText(state.run, hold))}`);
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
  if (waits && options.signable !== false) lines.push(colors.dim(`  holdpoint approve ${state.run} --plan ${shortHash(request.planHash)}`));
  return lines;
}

/** A request that takes no signatures any more, and how there will be another one. */
function shutText(run: string, { request }: HoldState): string {
  const { because, at } = request.closed ?? { because: 'expired', at: request.expiresAt };
  const why = { expired: 'has expired', drift: 'is void, as the plan has changed', aborted: 'was called off', withdrawn: 'was taken back' };
  const next = because === 'expired' ? ` \`holdpoint retry ${run}\` has the plan made anew and asks again.` : '';
  return `This request ${why[because]} (${formatTime(at)}): nobody can sign it any more.${next}`;
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
function choiceLines({ run, commands }: RunState, { colors, columns }: Terminal): string[] {
  // Whoever looks at a run that stands still wants to know how it goes on.
  const choices = commands.filter((command) => command !== 'pause').map((command) => ({ command, words: operatorWords(command, run) }));
  const width = Math.max(...choices.map(({ words }) => words.length), 0);
  return choices.flatMap(({ command, words }) =>
    columns < wideColumns
      ? [colors.dim(`  ${words}`), colors.dim(`      ${commandSummaries[command]}`)]
      : [colors.dim(`  ${words.padEnd(width)}   ${commandSummaries[command]}`)],
  );
}

/** What a run that stands still leaves as it is meanwhile. */
function stillLines({ steps, phase }: RunState): string[] {
  const hasCordoned = cordonedBy(steps);
  const first = phase === 'paused' ? 'Paused: nothing new is begun.' : '';
  const cordons = hasCordoned ? 'Nodes that it has cordoned stay cordoned until it ends.' : '';
  const text = [first, cordons].filter(Boolean).join(' ');
  return text === '' ? [] : [`  ${text}`];
}

/** Of a run that was ended past it nobody has looked at the world. */
function leftoversSeen(phase: Phase): string {
  return phase === 'terminated' ? 'as the run itself has last seen it; nobody has looked since' : 'as it was when the run ended';
}

function cordonedBy(steps: readonly StepState[]): boolean {
  return steps.some(({ uses, startedAt, status }) => cordoning.includes(uses) && startedAt !== undefined && status !== 'undone');
}

function endLines(state: RunState, ended: NonNullable<RunState['ended']>, colors: Colors): string[] {
  const reason = ended.reason.startsWith(state.phase) ? ended.reason : `${state.phase}: ${ended.reason}`;
  const lines = [`${state.phase === 'done' ? colors.green('✓') : colors.yellow('■')} ${reason} (${formatTime(ended.at)})`];
  if (ended.leftovers.length > 0)
    lines.push(`  What it leaves behind, ${leftoversSeen(state.phase)}:`, ...ended.leftovers.map((text) => `  - ${text}`));
  // Where they could not be lifted, that is the last of what it leaves behind.
  const mayBeCordoned = state.phase === 'terminated' || (ended.leftovers.at(-1)?.startsWith(`cordons of ${state.run}`) ?? false);
  if (state.phase !== 'done' && cordonedBy(state.steps) && !mayBeCordoned)
    lines.push('  Its cordons were lifted. Pods that were moved stay where they are.');
  if (state.phase === 'terminated') {
    lines.push('  It has lifted none of its cordons, nor what else it owns. A worker does when it starts, or now:');
    lines.push(colors.dim(`  holdpoint sweep ${state.target}`));
  }
  if (state.phase === 'aborted' || state.phase === 'rejected' || state.phase === 'terminated') {
    lines.push('  To go on, start it anew: it plans from what is there then, and what is done already is not done again.');
  }
  if (state.evidence) lines.push(colors.dim(`  holdpoint evidence verify ${state.evidence}`));
  return lines;
}

/** How a run stands, in a line. */
export function standingLine({ state, progress }: LiveRun, terminal: Terminal): string {
  const step = state.steps.find(({ status, kind }) => kind === 'action' && ['running', 'stuck'].includes(status));
  const far = step && (progress[step.id]?.summary ?? step.progress?.summary);
  const at = step === undefined ? '' : `, at step ${step.id}${far === undefined ? '' : ` (${far})`}`;
  const why = state.stuck ? `: ${state.stuck.reason}` : state.ended ? `: ${state.ended.reason}` : '';
  return `${state.run} is ${phaseText(state, terminal.colors)}${at}${why}`;
}

/** What a run would leave that is aborted now, for whoever is about to do that. */
export function leavingLines({ state, progress }: LiveRun, { colors }: Terminal): string[] {
  const begun = state.steps.filter(
    ({ kind, uses, startedAt, status }) =>
      kind === 'action' && startedAt !== undefined && status !== 'undone' && findAction(uses)?.change !== 'reads',
  );
  const rows = begun.map(({ id, uses, status, summary, ...step }) => {
    const far = progress[id]?.summary ?? step.progress?.summary ?? summary;
    const how = status === 'done' ? 'stays as it is' : `is cut off${goesOnOf(uses)}`;
    return `  - ${id} (${uses}) ${how}${far === undefined ? '' : `: ${far}`}`;
  });
  return [
    `Aborting ends ${colors.bold(state.run)} on ${state.target} where it stands:`,
    ...(rows.length === 0 ? ['  - nothing was begun, so nothing is left'] : rows),
    '  - its cordons are lifted; pods that were moved stay where they are; its target is free for another run',
    ...(state.commands.includes('undo')
      ? [`  It cannot be taken up again. To go back step by step: ${operatorWords('undo', state.run)}`]
      : []),
  ];
}

function goesOnOf(uses: string): string {
  if (uses.startsWith('eks.')) return '; what EKS was asked for goes on in EKS';
  return uses.startsWith('rds.') ? '; what RDS was asked for goes on in RDS' : '';
}
