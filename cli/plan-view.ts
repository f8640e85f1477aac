import type { Forecast } from '../domain/plan/forecast.ts';
import { isObject, type Json } from '../domain/json.ts';
import { getOrAdd } from '../domain/map.ts';
import type { PlanChange } from '../domain/plan/difference.ts';
import type { Effect, Risk, SpanPlan, StepPlan } from '../domain/plan/plan.ts';
import { formatDuration } from './format.ts';
import type { Colors, Terminal } from './terminal.ts';

const valueCharactersMax = 120;
const estimateShownMinMs = 500;

/** A plan as a person reads it before signing: every effect, what blocks it, what to know about it. */
export function planLines(plan: SpanPlan, { colors }: Terminal, options = { forecast: false }): string[] {
  const lines = plan.steps.flatMap((step) => stepLines(step, colors, options));
  const changes = plan.steps.some((step) => step.plan.effects.length > 0);
  if (!changes) lines.push(colors.dim('  Nothing in the world is changed by these steps.'));
  lines.push(`  plan ${colors.bold(plan.hash)}`);
  return lines;
}

/** A step of a plan: every effect, what blocks it, what to know about it. */
export function stepLines({ id, uses, plan }: StepPlan, colors: Colors, { forecast }: { forecast: boolean }): string[] {
  // What blocks a later part today may be just what the parts before it clear.
  const blocker = forecast ? colors.yellow('! blocked today:') : colors.red('✗');
  const estimate = plan.estimateMs >= estimateShownMinMs ? colors.dim(`, about ${formatDuration(plan.estimateMs)}`) : '';
  return [
    `  ${colors.bold(id)} ${colors.dim(uses)}${estimate}`,
    ...effectLines(plan.effects, colors),
    ...riskLines(plan.risks, colors),
    ...plan.notes.map((note) => `    ${colors.yellow('!')} ${note}`),
    ...plan.blockers.flatMap(({ object, reason, remedy }) => [`    ${blocker} ${object}: ${reason}`, `      ${colors.dim(remedy)}`]),
  ];
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

/** One line for an effect; the objects to which the same happens stand together under it, each on a line of its own. */
function effectLines(effects: readonly Effect[], colors: Colors): string[] {
  const byChange = new Map<string, string[]>();
  for (const { object, change, before, after } of effects) {
    const values = typeof before === 'string' && typeof after === 'string' ? ` (${before} → ${after})` : '';
    byChange.set(change + values, [...(byChange.get(change + values) ?? []), object]);
  }
  return [...byChange].flatMap(([change, objects]) => {
    const [only, ...others] = objects;
    if (others.length === 0) return [`    ${colors.yellow('~')} ${only ?? ''}: ${change}`];
    return [`    ${colors.yellow('~')} ${change}: ${objects.length} objects`, ...objects.map((object) => `        ${object}`)];
  });
}

/** A whole forecast: the first span, which a start signs, and what is expected to follow. */
export function forecastLines(forecast: Forecast, terminal: Terminal): string[] {
  const { colors } = terminal;
  const lines = [`${colors.bold(forecast.runbook.title)} on ${colors.bold(forecast.target)}`];
  forecast.spans.forEach(({ hold, plan }, index) => {
    lines.push('');
    if (hold) {
      const question = hold.question ? `: ${hold.question}` : '';
      lines.push(`${colors.magenta('■')} hold ${colors.bold(hold.id)} (policy ${hold.policy})${question}`);
    }
    lines.push(index === 0 ? 'Signed by the start:' : colors.dim('Forecast; planned again and signed at the hold:'));
    lines.push(...planLines(plan, terminal, { forecast: index > 0 }));
  });
  return lines;
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
