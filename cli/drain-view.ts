import type { DrainPreview } from '../activities/kubernetes/drain/preview.ts';
import { isObject, type Json, type JsonObject } from '../domain/json.ts';
import { table } from './commands/runs.ts';
import { counted, formatDuration } from './format.ts';
import { stepLines } from './plan-view.ts';
import type { Terminal } from './terminal.ts';

const podsShownMax = 3;

/** What draining would do, for a person: the order, every effect, what blocks it and what to do about that. */
export function drainPreviewLines({ cluster, server, plan }: DrainPreview, terminal: Terminal): string[] {
  const { colors } = terminal;
  const nodes = namesIn(plan.details.nodes);
  const blockers = plan.blockers.length;
  const verdict =
    blockers === 0 ? colors.green('Nothing blocks this drain now.') : colors.red(`It is blocked: ${counted(blockers, 'blocker')}.`);
  return [
    `Drain of ${counted(nodes.length, 'node')} of ${colors.bold(cluster)} ${colors.dim(`(${server})`)}: a plan, nothing is changed`,
    '',
    ...orderLines(nodes, plan.details),
    '',
    ...stepLines({ id: 'drain', uses: 'kubernetes.drain', input: {}, plan }, colors, { forecast: false }),
    '',
    verdict,
  ];
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
