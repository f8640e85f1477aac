import type { Progress, ProgressItem } from '../domain/action.ts';
import { longestWordOf, padded, wideColumns, widthOf, wrapped } from './layout.ts';
import type { Terminal } from './terminal.ts';

const barWidthMax = 20;
const itemsShownMax = 12;
const indent = '      ';
/** Below this width the bars go first, then the domains of names. What a thing waits for is never cut. */
const barColumnsMin = 72;
/** A sentence beside a row needs as much room as that; otherwise it stands below it. */
const detailRoomMin = 28;

/** Progress by itself: the sentence, and a row for each object. */
export function progressLines(progress: Progress, terminal: Terminal): string[] {
  return [...wrapped(progress.summary, terminal.columns), ...itemLines(progress, terminal)];
}

/** A row for each object, with a bar and why it waits; those that move come first. Below them, what people can do. */
export function itemLines({ items, unit, todo = [] }: Progress, terminal: Terminal): string[] {
  const { columns, colors } = terminal;
  const order = { moving: 0, blocked: 1, waiting: 2, done: 3 };
  const sorted = [...items].sort((a, b) => order[a.state] - order[b.state]);
  const shown = sorted.slice(0, itemsShownMax);
  const shortened = columns < wideColumns ? withoutSharedDomain(shown) : shown;
  const width = Math.max(...shortened.map(({ name }) => widthOf(name)), 0);
  const lines = shortened.flatMap((item) => itemRows(item, width, unit, terminal));
  if (items.length > itemsShownMax) lines.push(colors.dim(`${indent}… and ${items.length - itemsShownMax} more`));
  for (const { text, command } of todo) {
    lines.push(...wrapped(`${indent}${colors.yellow('→')} ${text}`, columns, indent.length + 2));
    if (command !== undefined) lines.push(`${indent}  ${command}`);
  }
  return lines;
}

/** `ip-10-0-0-4.eu-central-1.compute.internal` is `ip-10-0-0-4` where all have the same domain. */
function withoutSharedDomain(items: readonly ProgressItem[]): ProgressItem[] {
  const domains = new Set(items.map(({ name }) => /\..*$/.exec(name)?.[0] ?? ''));
  const [domain = ''] = domains;
  if (domains.size !== 1 || domain === '') return [...items];
  return items.map((item) => ({ ...item, name: item.name.slice(0, -domain.length) }));
}

function itemRows({ name, state, done, total, detail }: ProgressItem, width: number, unit: string, terminal: Terminal): string[] {
  const { columns, colors } = terminal;
  const paint = { done: colors.green, moving: colors.cyan, blocked: colors.yellow, waiting: colors.dim }[state];
  const barWidth = columns < barColumnsMin ? 0 : columns < wideColumns ? barWidthMax / 2 : barWidthMax;
  const filled = total === 0 ? barWidth : Math.round((done / total) * barWidth);
  const bar = barWidth === 0 ? '' : paint('█'.repeat(filled)) + colors.dim('░'.repeat(barWidth - filled));
  const count = total > 1 ? `${done}/${total} ${unit}` : state;
  const row = `${indent}${padded(name, width)}  ${bar === '' ? '' : `${bar} `}${bar === '' ? paint(count) : count}`;
  if (!detail) return [row];
  const room = columns - widthOf(row) - 2;
  if (widthOf(detail) <= room) return [`${row}  ${colors.dim(detail)}`];
  if (room < Math.max(detailRoomMin, longestWordOf(detail)))
    return [row, ...wrapped(`${indent}    ${colors.dim(detail)}`, columns, indent.length + 4)];
  return wrapped(`${row}  ${colors.dim(detail)}`, columns, widthOf(row) + 2);
}
