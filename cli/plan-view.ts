import type { Forecast } from '../domain/plan/forecast.ts';
import { isObject, type Json } from '../domain/json.ts';
import { getOrAdd } from '../domain/map.ts';
import { estimateOf } from '../domain/plan/past.ts';
import type { PlanChange } from '../domain/plan/difference.ts';
import { signedTextOf, type Blocker, type Effect, type Risk, type SpanPlan, type StepPlan } from '../domain/plan/plan.ts';
import { shownCharactersMax, visibleJson } from '../domain/visible.ts';
import { counted } from '../domain/text.ts';
import { rollbackOf, type StepSummary } from '../client/hold-summary.ts';
import { settingsOf } from '../runbooks/actions/settings.ts';
import { formatDuration } from './format.ts';
import type { FullOption } from './command.ts';
import type { Colors, Terminal } from './terminal.ts';

const valueCharactersMax = 120;
/** Elements of a list, such as nodes, that stand on a line together. */
const elementsOnLineMax = 4;
const estimateShownMinMs = 500;
/** How many changes, risks and times of a plan stand in a list of many. */
const shortMax = 3;

/**
 * A plan as a person reads it before signing: whatever the hash covers that somebody has set, every effect, what may be lost, what
 * blocks it. What the hash does not cover is marked as not signed. The hash comes last; `hashLine` says it.
 */
export function planLines(plan: SpanPlan, { colors }: Terminal, options = { forecast: false }): string[] {
  return [
    `  ${colors.bold(plan.title)} on ${colors.bold(plan.target)}`,
    ...totalsLines(plan.steps, colors, options),
    `  ${colors.dim(`runbook ${plan.runbook}`)}`,
    ...Object.entries(plan.inputs).flatMap(([name, value]) => valueLines(`  input ${name}: `, value)),
    ...plan.steps.flatMap((step) => stepLines(step, colors, { ...options, blockers: false })),
  ];
}

/** What a plan comes to, before all details: how much it changes, how long it takes, what may be lost, and what blocks it. */
export function totalsLines(steps: readonly StepPlan[], colors: Colors, { forecast }: { forecast: boolean }): string[] {
  const sum = (count: (step: StepPlan) => number): number => steps.reduce((total, step) => total + count(step), 0);
  const changes = sum(({ plan }) => plan.effects.length);
  const ms = sum((step) => estimateOf(step).ms);
  const [risks, notes] = [sum(({ plan }) => plan.risks.length), sum(({ plan }) => plan.notes.length)];
  const blockers = steps.flatMap(({ plan }) => plan.blockers);
  const totals = [
    changes === 0 ? 'changes nothing' : `${counted(changes, 'change')}${kindsOf(steps)}`,
    ...(ms >= estimateShownMinMs ? [`about ${formatDuration(ms)}`] : []),
    ...(risks > 0 ? [colors.yellow(counted(risks, 'risk'))] : []),
    ...(notes > 0 ? [counted(notes, 'note')] : []),
  ];
  const verdict =
    blockers.length === 0
      ? colors.green('nothing blocks it')
      : (forecast ? colors.yellow : colors.red)(`${counted(blockers.length, 'blocker')}${forecast ? ' as things are today' : ''}`);
  return [`  In all: ${[...totals, verdict].join('; ')}`, ...blockerLines(blockers, colors, forecast)];
}

/** `6 Nodes, 12 workloads`: of which kinds the objects are that change. */
function kindsOf(steps: readonly StepPlan[]): string {
  const objects = new Map<string, Set<string>>();
  for (const { object } of steps.flatMap(({ plan }) => plan.effects)) {
    const kind = /^(\w+)[/ ]/.exec(object)?.[1];
    if (kind === undefined) return '';
    getOrAdd(objects, workloadKinds.has(kind) ? 'workload' : kind, () => new Set<string>()).add(object);
  }
  const kinds = [...objects].map(([kind, { size }]) =>
    kind === 'workload' ? counted(size, kind) : `${size} ${kind}${size === 1 ? '' : 's'}`,
  );
  return kinds.length === 0 ? '' : ` (${kinds.join(', ')})`;
}

const workloadKinds: ReadonlySet<string> = new Set([
  'Deployment',
  'StatefulSet',
  'ReplicaSet',
  'Job',
  'CronJob',
  'ReplicationController',
  'Pod',
]);

/** What blocks a plan, and what to do. What blocks a later part today may be just what the parts before it clear. */
function blockerLines(blockers: readonly Blocker[], colors: Colors, forecast: boolean): string[] {
  return blockers.flatMap(({ object, reason, remedy, ofInputs }) => {
    const mark = forecast && !ofInputs ? colors.yellow('! blocked today:') : colors.red(ofInputs ? '✗ cannot work:' : '✗');
    return [`    ${mark} ${object}: ${reason}`, `      ${colors.dim(remedy)}`];
  });
}

/**
 * All that the hash of a plan covers, facts and defaults included, as JSON: in its canonical form (RFC 8785) its SHA-256 is the hash.
 */
export function signedTextLines(plan: SpanPlan, colors: Colors): string[] {
  const lines = JSON.stringify(JSON.parse(signedTextOf(plan)), undefined, 2)
    .split('\n')
    .map(visibleJson);
  return [`  ${colors.dim('All that the hash covers:')}`, ...lines.flatMap((line) => pieces(`    ${line}`))];
}

/** What a signature over a plan stands for, in a sentence, and its hash. */
export function hashLines({ steps, hash }: SpanPlan, colors: Colors): string[] {
  const sum = (count: (step: StepPlan) => number): number => steps.reduce((total, step) => total + count(step), 0);
  const effects = sum(({ plan }) => plan.effects.length);
  const risks = sum(({ plan }) => plan.risks.length);
  const dangers = sum((step) => settingsOf(step).filter(({ danger }) => danger !== undefined).length);
  const changes = effects === 0 ? 'Nothing in the world is changed by these steps' : `It makes ${counted(effects, 'change')}`;
  const more = [risks > 0 ? counted(risks, 'risk') : '', dangers > 0 ? counted(dangers, 'dangerous setting') : ''].filter(Boolean);
  const verdict = `${changes}${more.length > 0 ? `, with ${more.join(' and ')}` : ''}.`;
  return [`  ${dangers > 0 ? colors.red(verdict) : verdict}`, `  plan ${colors.bold(hash)}`];
}

/** A step of a plan: its settings, every effect, what may be lost, what blocks it, and what to know about it. */
export function stepLines(
  step: StepPlan,
  colors: Colors,
  { forecast, signed = true, blockers = true }: { forecast: boolean; signed?: boolean; blockers?: boolean },
): string[] {
  const { id, uses, plan } = step;
  const { ms } = estimateOf(step);
  const estimate = ms >= estimateShownMinMs ? colors.dim(`, about ${formatDuration(ms)}${basisText(step)}`) : '';
  return [
    `  ${colors.bold(id)} ${colors.dim(uses)}${estimate}`,
    ...settingLines(step, colors),
    ...effectLines(plan.effects, colors),
    ...riskLines(plan.risks, colors),
    ...undoLines(step, colors),
    ...plan.notes.map((note) => `    ${colors.yellow('!')} ${signed ? 'not signed: ' : ''}${note}`),
    ...(blockers ? blockerLines(plan.blockers, colors, forecast) : []),
  ];
}

/** What an estimate is made of. */
function basisText({ past }: Pick<StepPlan, 'past'>): string {
  if (!past) return ' (forecast)';
  return ` (median of ${counted(past.runs, 'past run')} here; 95 of 100 within ${formatDuration(past.p95Ms)})`;
}

/**
 * The steps of a plan for a list of many: what they change, how long that takes, what may be lost and what has no rollback, a few lines
 * in all. Whoever signs reads the whole plan.
 */
export function shortPlanLines(steps: readonly StepSummary[], colors: Colors): string[] {
  const changes = steps.flatMap((step) => step.changes);
  const risks = [...new Set(steps.flatMap((step) => step.risks))];
  const timed = steps.filter(({ estimateMs }) => estimateMs >= estimateShownMinMs);
  const times = timed.map((step) => `${step.id} about ${formatDuration(step.estimateMs)}${basisText(step)}`);
  const stays = steps.flatMap(({ id, undo }) => (undo && 'none' in undo ? [`${id}: ${undo.none}`] : []));
  return [
    `  ${counted(changes.length, 'change')}${firstOf(changes)}`,
    ...(times.length > 0 ? [`  takes: ${times.slice(0, shortMax).join('; ')}${more(times)}`] : []),
    ...(risks.length > 0 ? [`  ${colors.yellow('!')} ${counted(risks.length, 'risk')}${firstOf(risks)}`] : []),
    ...(stays.length > 0 ? [`  ${colors.yellow('!')} no rollback${firstOf(stays)}`] : []),
  ];
}

function firstOf(texts: readonly string[]): string {
  if (texts.length === 0) return '';
  return `: ${texts.slice(0, shortMax).map(short).join('; ')}${more(texts)}`;
}

function more(texts: readonly string[]): string {
  return texts.length > shortMax ? `; and ${texts.length - shortMax} more` : '';
}

/** What the rollback of a step would do, or why there is none. */
function undoLines(step: StepPlan, colors: Colors): string[] {
  const undo = rollbackOf(step);
  if (!undo) return [];
  return ['does' in undo ? colors.dim(`    ↶ rollback: ${undo.does}`) : `    ${colors.yellow('!')} no rollback: ${undo.none}`];
}

function settingLines(step: StepPlan, colors: Colors): string[] {
  return settingsOf(step).flatMap(({ name, value, danger }) => {
    const lines = valueLines(`    ${colors.dim('=')} ${name}: `, value);
    return danger === undefined ? lines : [...lines, `      ${colors.red(`! ${danger}`)}`];
  });
}

/** A value that is signed, all of it: a long list takes several lines. */
function valueLines(heading: string, value: Json): string[] {
  if (!Array.isArray(value) || value.length <= elementsOnLineMax) return pieces(heading + textOf(value));
  const texts = value.map(textOf);
  const rows = Array.from({ length: Math.ceil(texts.length / elementsOnLineMax) }, (_, row) =>
    texts.slice(row * elementsOnLineMax, (row + 1) * elementsOnLineMax).join(', '),
  );
  return [`${heading}${counted(value.length, 'value')}`, ...rows.flatMap((row) => pieces(`        ${row}`))];
}

/** A text that is too long for a line is taken apart, so that nothing of it is cut off. */
function pieces(line: string): string[] {
  const size = shownCharactersMax / 2;
  return Array.from({ length: Math.max(1, Math.ceil(line.length / size)) }, (_, index) => line.slice(index * size, (index + 1) * size));
}

function textOf(value: Json): string {
  if (Array.isArray(value)) return value.map(textOf).join(', ');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** One risk with its numbers and its remedy; the objects that have the same one stand together under it. */
export function riskLines(risks: readonly Risk[], colors: Colors): string[] {
  const alike = new Map<string, Risk[]>();
  for (const risk of risks) getOrAdd(alike, JSON.stringify([risk.risk, risk.remedy]), (): Risk[] => []).push(risk);
  return [...alike.values()].flatMap(([first, ...others]) => {
    if (!first) return [];
    const { object, risk, detail, remedy } = first;
    const mark = `    ${colors.yellow('!')} risk:`;
    const said = [detail, remedy].filter((text) => text !== undefined).join(' ');
    if (others.length === 0) return [`${mark} ${object}: ${risk}`, ...(said === '' ? [] : [`      ${colors.dim(said)}`])];
    const objects = [first, ...others].map(
      (each) => `        ${each.object}${each.detail === undefined ? '' : colors.dim(`: ${each.detail}`)}`,
    );
    return [`${mark} ${risk}: ${others.length + 1} objects`, ...objects, ...(remedy === undefined ? [] : [`      ${colors.dim(remedy)}`])];
  });
}

/** One line for what happens; the objects of the same kind to which it does stand together under it, all of them, a few on a line. */
function effectLines(effects: readonly Effect[], colors: Colors): string[] {
  const byChange = new Map<string, string[]>();
  for (const { object, change, before, after } of effects) {
    const values = typeof before === 'string' && typeof after === 'string' ? ` (${before} → ${after})` : '';
    getOrAdd(byChange, change + values, (): string[] => []).push(object);
  }
  return [...byChange].flatMap(([change, objects]) => {
    const [only, ...others] = objects;
    if (others.length === 0) return [`    ${colors.yellow('~')} ${only ?? ''}: ${change}`];
    return [`    ${colors.yellow('~')} ${change}: ${objects.length} objects`, ...objectLines(objects)];
  });
}

function objectLines(objects: readonly string[]): string[] {
  const byKind = new Map<string, string[]>();
  for (const object of objects) {
    const [, kind = '', name = object] = /^(\w+[/ ])(.*)$/.exec(object) ?? [];
    getOrAdd(byKind, kind, (): string[] => []).push(name);
  }
  return [...byKind].flatMap(([kind, names]) => {
    const rows = Array.from({ length: Math.ceil(names.length / elementsOnLineMax) }, (_, row) =>
      names.slice(row * elementsOnLineMax, (row + 1) * elementsOnLineMax).join(', '),
    );
    return rows.flatMap((row) => pieces(`        ${kind}${row}`));
  });
}

/** The question of a hold, which comes after the plan: it is of whoever asks, and says nothing that the plan does not. */
export function questionLine(question: string, colors: Colors, asks = 'The author of the runbook'): string {
  return `  ${colors.dim(`${asks} asks:`)} “${question}”`;
}

/** A whole forecast: the first span, which a start signs, and what is expected to follow. */
export function forecastLines(forecast: Forecast, terminal: Terminal, { full = false }: FullOption = {}): string[] {
  const { colors } = terminal;
  const lines = [verdictLine(forecast, colors), ''];
  forecast.spans.forEach(({ hold, plan }, index) => {
    if (hold) {
      lines.push('');
      lines.push(`${colors.magenta('■')} hold ${colors.bold(hold.id)} (policy ${hold.policy})`);
    }
    lines.push(index === 0 ? 'Signed by the start:' : colors.dim('Forecast; planned again and signed at the hold:'));
    // The first one has told of runbook and inputs, which are those of all.
    const options = { forecast: true, blockers: false };
    const steps = [...totalsLines(plan.steps, colors, options), ...plan.steps.flatMap((step) => stepLines(step, colors, options))];
    lines.push(...(index === 0 ? planLines(plan, terminal) : steps));
    if (full && index === 0) lines.push(...signedTextLines(plan, colors));
    if (hold?.question) lines.push(questionLine(hold.question, colors));
    lines.push(...hashLines(plan, colors));
  });
  return lines;
}

/** Why a forecast cannot be started: what blocks its first part, and inputs that no part can work with. */
export function obstaclesIn({ spans }: Forecast): Blocker[] {
  return spans.flatMap(({ plan }, index) =>
    plan.steps.flatMap(({ plan: { blockers } }) => (index === 0 ? blockers : blockers.filter(({ ofInputs }) => ofInputs))),
  );
}

/** What a whole forecast comes to, and whether it can be started. */
function verdictLine(forecast: Forecast, colors: Colors): string {
  const steps = forecast.spans.flatMap(({ plan }) => plan.steps);
  const changes = steps.reduce((total, { plan }) => total + plan.effects.length, 0);
  const ms = steps.reduce((total, step) => total + estimateOf(step).ms, 0);
  const holds = forecast.spans.filter(({ hold }) => hold !== undefined).length;
  const obstacles = obstaclesIn(forecast).length;
  const today = steps.filter(({ plan }) => plan.blockers.length > 0).length;
  const blocked = today === 0 ? '' : ` ${counted(today, 'step')} of later parts ${today === 1 ? 'is' : 'are'} blocked as things are today.`;
  const verdict = obstacles > 0 ? colors.red(`It cannot be started: ${counted(obstacles, 'blocker')}.`) : `It can be started.${blocked}`;
  const parts = `${counted(holds, 'hold')}, ${counted(changes, 'change')} in all, about ${formatDuration(ms)} of work`;
  return `${colors.bold(forecast.runbook.title)} on ${colors.bold(forecast.target)}: ${parts}. ${verdict}`;
}

/** What has changed between a signed plan and the present one, object by object; of a list only what differs in it. */
export function differenceLines(difference: readonly PlanChange[], { colors }: Pick<Terminal, 'colors'>): string[] {
  const mark = (change: ListChange['kind']): string =>
    ({ added: colors.green('+'), gone: colors.red('-'), changed: colors.yellow('~') })[change];
  return difference.flatMap(({ step, kind, object, before, after }) => {
    const heading = `  ${mark(kind)} ${step}: ${object}`;
    if (Array.isArray(before) && Array.isArray(after)) {
      const changes = listChanges(before, after);
      return [`${heading}:`, ...changes.map((change) => `      ${mark(change.kind)} ${change.text}`)];
    }
    if (kind === 'added') return [heading + (after === undefined ? '' : ` = ${short(after)}`)];
    if (kind === 'gone') return [heading + (before === undefined ? '' : ` = ${short(before)}`)];
    return [`${heading}: ${short(before ?? null)} → ${short(after ?? null)}`];
  });
}

interface ListChange {
  kind: PlanChange['kind'];
  text: string;
}

/** Elements are the same thing where they have the same name; without names they are there or not. */
function listChanges(before: readonly Json[], after: readonly Json[]): ListChange[] {
  const old = new Map(before.map((element) => [nameOf(element), element]));
  const now = new Map(after.map((element) => [nameOf(element), element]));
  const changes = [...new Set([...old.keys(), ...now.keys()])].flatMap((name): ListChange[] => {
    const [was, is] = [old.get(name), now.get(name)];
    if (is === undefined) return [{ kind: 'gone', text: short(was ?? null) }];
    if (was === undefined) return [{ kind: 'added', text: short(is) }];
    return JSON.stringify(was) === JSON.stringify(is) ? [] : [{ kind: 'changed', text: `${name}: ${fieldChanges(was, is)}` }];
  });
  return changes.length > 0 ? changes : [{ kind: 'changed', text: 'the order' }];
}

function nameOf(element: Json): string {
  const name = isObject(element) ? element.name : undefined;
  return typeof name === 'string' ? name : JSON.stringify(element);
}

function fieldChanges(was: Json, is: Json): string {
  if (!isObject(was) || !isObject(is)) return `${short(was)} → ${short(is)}`;
  const fields = [...new Set([...Object.keys(was), ...Object.keys(is)])];
  const changed = fields.filter((field) => JSON.stringify(was[field]) !== JSON.stringify(is[field]));
  return changed.map((field) => `${field} ${short(was[field] ?? null)} → ${short(is[field] ?? null)}`).join(', ');
}

function short(value: Json): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > valueCharactersMax ? `${text.slice(0, valueCharactersMax)}…` : text;
}
