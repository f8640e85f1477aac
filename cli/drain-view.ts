import type { DrainEnd, DrainPreview } from '../activities/kubernetes/drain/by-hand.ts';
import { isObject, type Json, type JsonObject } from '../domain/json.ts';
import type { ActionPlan } from '../domain/plan/plan.ts';
import { counted } from '../domain/text.ts';
import { optionOfSetting } from './action-options.ts';
import { formatDuration, listOfNames, shellWords } from './format.ts';
import { table } from './layout.ts';
import { riskLines, stepLines } from './plan-view.ts';
import type { Terminal } from './terminal.ts';

const podsShownMax = 3;
/** More nodes than that are given to a shell by a selector. */
const nodesShownMax = 20;

/** What draining would do, for a person: the order, every effect, what blocks it and what to do about that. */
export function drainPreviewLines({ cluster, server, plan }: DrainPreview, terminal: Terminal): string[] {
  const { colors } = terminal;
  const nodes = namesIn(plan.details.nodes);
  const blockers = plan.blockers.length;
  const held = heldIn(plan).reduce((sum, { pods }) => sum + (typeof pods === 'number' ? pods : 0), 0);
  const go = held === 0 ? colors.green('Nothing blocks this drain now.') : colors.yellow(heldVerdict(held));
  const verdict = blockers === 0 ? go : colors.red(`It is blocked: ${counted(blockers, 'blocker')}.`);
  return [
    `Drain of ${counted(nodes.length, 'node')} of ${colors.bold(cluster)} ${colors.dim(`(${server})`)}: a plan, nothing is changed yet`,
    '',
    ...orderLines(nodes, blockers === 0 ? plan.details : { ...plan.details, waves: [] }),
    '',
    ...stepLines({ id: 'drain', uses: 'kubernetes.drain', input: {}, plan: asOptions(plan) }, colors, { forecast: false, signed: false }),
    '',
    verdict,
  ];
}

function heldVerdict(pods: number): string {
  return `It may begin, but as things are ${counted(pods, 'pod does', 'pods do')} not go: see above.`;
}

/** How a drain has ended, what there is now and what to do next. */
export function drainEndLines(
  { plan }: DrainPreview,
  end: DrainEnd,
  { recordFile, tookMs, uncordon, name }: { recordFile: string; tookMs: number; uncordon: boolean; name: string },
  terminal: Terminal,
): string[] {
  const { colors } = terminal;
  const nodes = counted(namesIn(plan.details.nodes).length, 'node');
  const moved = typeof plan.outputs.podsMoved === 'number' ? counted(plan.outputs.podsMoved, 'pod') : 'pods';
  const after = formatDuration(tookMs);
  const heading = {
    done: colors.green(`Drained ${nodes}, ${moved}, in ${after}.`),
    stuck: colors.red(`Stuck after ${after}: ${end.summary}.`),
    interrupted: colors.yellow(`Stopped after ${after}, before it was done: ${end.summary}.`),
    failed: colors.red(`Failed after ${after}: ${end.summary}.`),
  }[end.outcome];
  const why = end.error ? [end.error.message, ...(end.error.remedy === '' ? [] : [colors.dim(inOptions(end.error.remedy))])] : [];
  return [
    '',
    heading,
    ...why,
    ...table(end.left.map(({ name, done, total, detail = '' }) => [`  ${name}`, `${counted(total - done, 'pod')} left`, detail])),
    ...cordonLines(end, uncordon, name),
    ...(end.outcome === 'done' ? [] : ['Run the same command again to go on: it plans anew from what there is then.']),
    colors.dim(`Record: ${recordFile}; to check it: holdpoint evidence verify ${shellWords([recordFile])}`),
  ];
}

function cordonLines({ cordoned, uncordoned, schedulable, outcome }: DrainEnd, uncordon: boolean, name: string): string[] {
  const lines = uncordoned.length > 0 ? [`Uncordoned: ${listOfNames(uncordoned)}.`] : [];
  if (outcome === 'done' && schedulable.length > 0) {
    lines.push(
      `Not cordoned any more: ${listOfNames(schedulable)}. Somebody else has uncordoned what this drain had cordoned, so pods may come.`,
    );
  }
  const [first, ...others] = cordoned;
  if (first === undefined) return lines;
  const why = uncordon && outcome === 'done' ? ', as others have cordoned before, or drain it, too' : '';
  const which = others.length === 0 ? `${first} is` : `${counted(cordoned.length, 'node')} are`;
  const names = cordoned.length > nodesShownMax ? 'NODE…' : shellWords(cordoned);
  return [...lines, `${which} cordoned${why}. To put back: ${name} uncordon ${names}`];
}

/** Pods that will not have gone when everything has come to rest, by workload and reason. */
function heldIn({ details: { held } }: ActionPlan): JsonObject[] {
  return Array.isArray(held) ? held.filter(isObject) : [];
}

/** Whether nothing stands in the way of a drain, nor is lost by it. */
export function isFree(plan: ActionPlan): boolean {
  return plan.blockers.length + plan.risks.length + heldIn(plan).length === 0;
}

/** What stands in the way of draining nodes, for a person: what holds which pods, whose they are and what to do. */
export function whoBlocksLines({ cluster, plan }: DrainPreview, terminal: Terminal): string[] {
  const { colors } = terminal;
  const nodes = listOfNames(namesIn(plan.details.nodes).slice(0, nodesShownMax));
  const pods = counted(typeof plan.outputs.podsMoved === 'number' ? plan.outputs.podsMoved : 0, 'pod');
  if (isFree(plan)) {
    return [colors.green(`Nothing stands in the way: ${pods} of ${nodes} can go, in about ${formatDuration(plan.estimateMs)}.`)];
  }
  const { blockers, risks } = asOptions(plan);
  return [
    `In the way of draining ${nodes} of ${colors.bold(cluster)} (${pods} to move):`,
    ...blockers.flatMap(({ object, reason, remedy }) => [`  ${colors.red('✗')} ${object}: ${reason}`, `    ${colors.dim(remedy)}`]),
    ...heldIn(plan).flatMap((group) => [
      `  ${colors.yellow('!')} ${textIn(group.workload)}: ${textIn(group.reason)}`,
      ...namesIn(group.names).map((name) => `      ${name}`),
    ]),
    ...riskLines(risks, colors),
  ];
}

/** A plan as it is for a drain by hand: remedies name options in the place of settings, and there is no run. */
export function asOptions(plan: ActionPlan): ActionPlan {
  const blockers = plan.blockers.map((blocker) => ({ ...blocker, remedy: inOptions(blocker.remedy) }));
  const risks = plan.risks.map(({ remedy, ...risk }) => ({ ...risk, ...(remedy !== undefined && { remedy: inOptions(remedy) }) }));
  const effects = plan.effects.map((effect) => ({ ...effect, change: effect.change.replace(' until the run ends', '') }));
  return { ...plan, effects, blockers, risks, notes: plan.notes.map(inOptions) };
}

/** `force: true` is `--force` on a command line. */
function inOptions(text: string): string {
  return text
    .replace(/`(\w+): ([\w-]+)`/g, (_whole, name: string, value: string) => `\`${optionOfSetting(name, value)}\``)
    .replace(
      /`(podDeadline|nodeDeadline|onDeadline|unschedulableLimit)`/g,
      (_whole, name: string) => `\`${optionOfSetting(name, 'true')}\``,
    );
}

/** The nodes with their pods, and which pods go when, as far as the plan foresees it. */
function orderLines(nodes: readonly string[], { waves, wavesLeftOut, podsByNode, pods }: JsonObject): string[] {
  const counts = (podsByNode ?? {}) as Record<string, number>;
  const lines = table(nodes.map((node) => [`  ${node}`, counted(counts[node] ?? 0, 'pod')]));
  if (typeof pods === 'number') lines.push(`  ${counted(pods, 'pod')} to move in all`);
  if (!Array.isArray(waves) || waves.length === 0) return lines;
  lines.push('', '  In this order, as far as can be foreseen:', ...waves.flatMap(waveLine));
  if (typeof wavesLeftOut === 'number' && wavesLeftOut > 0) lines.push(`    then ${counted(wavesLeftOut, 'more time', 'more times')}`);
  return lines;
}

function waveLine(wave: Json): string[] {
  if (!isObject(wave) || typeof wave.afterSeconds !== 'number' || typeof wave.pods !== 'number') return [];
  const when = wave.afterSeconds === 0 ? 'at once' : `after ${formatDuration(wave.afterSeconds * 1_000)}`;
  // Which node each is on would make the lines too long to read; `--json` has it.
  const names = namesIn(wave.names).map((name) => name.split(' on ')[0] ?? name);
  const shown = names.slice(0, podsShownMax).join(', ') + (wave.pods > Math.min(names.length, podsShownMax) ? ', …' : '');
  return [`    ${when}: ${counted(wave.pods, 'pod')}${shown === '' ? '' : ` (${shown})`}`];
}

function namesIn(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((name) => typeof name === 'string') : [];
}

function textIn(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
