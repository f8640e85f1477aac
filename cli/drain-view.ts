import type { DrainPreview } from '../activities/kubernetes/drain-preview.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { table } from './commands/runs.ts';
import { counted, formatDuration } from './format.ts';
import { stepLines } from './plan-view.ts';
import type { Terminal } from './terminal.ts';

/** What draining would do, for a person: the order, every effect, what blocks it and what to do about that. */
export function drainPreviewLines({ cluster, server, plan }: DrainPreview, terminal: Terminal): string[] {
  const { colors } = terminal;
  const nodes = namesIn(plan.notes.nodes);
  const blockers = plan.blockers.length;
  const verdict =
    blockers === 0
      ? colors.green('Nothing blocks this drain as things stand.')
      : colors.red(`It cannot be carried out as things stand: ${counted(blockers, 'blocker')}.`);
  return [
    `Drain of ${counted(nodes.length, 'node')} of ${colors.bold(cluster)} ${colors.dim(`(${server})`)}: a plan, nothing is changed`,
    '',
    ...orderLines(nodes, plan.notes),
    '',
    ...stepLines({ id: 'drain', uses: 'kubernetes.drain', input: {}, plan }, colors, { forecast: false }),
    '',
    verdict,
  ];
}

/** The nodes with their pods, in waves where the plan has any. */
function orderLines(nodes: readonly string[], { waves, podsByNode, pods }: JsonObject): string[] {
  const counts = (podsByNode ?? {}) as Record<string, number>;
  const rowOf = (wave: string, node: string): string[] => [`  ${wave}`, node, counted(counts[node] ?? 0, 'pod')];
  const total = typeof pods === 'number' ? [`  ${counted(pods, 'pod')} to move in all`] : [];
  if (!Array.isArray(waves)) return [...table(nodes.map((node) => rowOf('', node))), ...total];
  const rows = waves.flatMap((wave, index) =>
    nodesOf(wave).map((node, place) => rowOf(place === 0 ? `wave ${index + 1}${estimateOf(wave)}` : '', node)),
  );
  return [...table(rows), ...total];
}

function nodesOf(wave: Json): string[] {
  return namesIn(isObject(wave) ? wave.nodes : wave);
}

function estimateOf(wave: Json): string {
  const ms = isObject(wave) ? wave.estimateMs : undefined;
  return typeof ms === 'number' ? `, about ${formatDuration(ms)}` : '';
}

function namesIn(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((name) => typeof name === 'string') : [];
}

function isObject(value: Json): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
