import stringWidth from 'string-width';
import type { Progress, ProgressItem } from '../domain/action.ts';
import type { Terminal } from './terminal.ts';

const barWidth = 20;
const itemsShownMax = 12;
const escape = '\u001b';
const colorCode = new RegExp(`(${escape}\\[[0-9;]*m)`);

type Colors = Terminal['colors'];

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
export function fit(text: string, columns: number): string {
  if (stringWidth(text) <= columns) return text;
  // Colour codes take no room; cutting them off is safe, because each line ends with a reset.
  let width = 0;
  let cut = '';
  for (const part of text.split(colorCode)) {
    if (part.startsWith(escape)) cut += part;
    else {
      for (const character of part) {
        width += stringWidth(character);
        if (width < columns) cut += character;
      }
    }
  }
  return `${cut}…`;
}
