import stringWidth from 'string-width';
import type { Progress, ProgressItem } from '../domain/action.ts';
import { partsOf, type Colors, type Terminal } from './terminal.ts';

const barWidth = 20;
const itemsShownMax = 12;

/** Progress by itself: the sentence, and a row for each object. */
export function progressLines(progress: Progress, terminal: Terminal): string[] {
  return [progress.summary, ...itemLines(progress, terminal.colors)].map((line) => fit(line, terminal.columns));
}

/** A row for each object, with a bar and why it waits; those that move come first. */
export function itemLines({ items, unit }: Progress, colors: Colors): string[] {
  const order = { moving: 0, blocked: 1, waiting: 2, done: 3 };
  const sorted = [...items].sort((a, b) => order[a.state] - order[b.state]);
  const width = Math.max(...items.map(({ name }) => name.length), 0);
  const lines = sorted.slice(0, itemsShownMax).map((item) => itemLine(item, width, unit, colors));
  if (items.length > itemsShownMax) lines.push(colors.dim(`      … and ${items.length - itemsShownMax} more`));
  return lines;
}

function itemLine({ name, state, done, total, detail }: ProgressItem, width: number, unit: string, colors: Colors): string {
  const filled = total === 0 ? barWidth : Math.round((done / total) * barWidth);
  const paint = { done: colors.green, moving: colors.cyan, blocked: colors.yellow, waiting: colors.dim }[state];
  const bar = paint('█'.repeat(filled)) + colors.dim('░'.repeat(barWidth - filled));
  const count = total > 1 ? ` ${done}/${total} ${unit}` : ` ${state}`;
  return `      ${name.padEnd(width)}  ${bar}${count}${detail ? colors.dim(`  ${detail}`) : ''}`;
}

/** Cuts a line to the width of the terminal, so that what is drawn anew takes as many rows as it has lines. */
export function fit(line: string, columns: number): string {
  const parts = partsOf(line);
  if (stringWidth(parts.map(({ text, isCode }) => (isCode ? '' : text)).join('')) <= columns) return line;
  // Colour codes take no room; leaving them all in is safe, because each line ends with a reset.
  let width = 0;
  const kept = parts.map(({ text, isCode }) => {
    return isCode ? text : [...text].filter((character) => (width += stringWidth(character)) < columns).join('');
  });
  return `${kept.join('')}…`;
}
