import stringWidth from 'string-width';
import { partsOf } from './painted.ts';

/** At this width and above, rows have all of their columns. */
export const wideColumns = 100;
/** A word is set down whole, so a line that leaves less room than that is not indented further. */
const roomMin = 24;

/** How many columns a line takes: our colours take none, a Korean syllable two. */
export function widthOf(line: string): number {
  return partsOf(line).reduce((width, { text, isCode }) => width + (isCode ? 0 : columnsOf(text)), 0);
}

/** Terminals show our mark of a running step as one column, although there is an emoji of that character. */
function columnsOf(text: string): number {
  return stringWidth(text.replaceAll('▶', '>'));
}

/** Fills a text up to a width. */
export function padded(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)));
}

/** The same from the left. */
export function paddedStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - widthOf(text))) + text;
}

/** What people copy: a command, an export, a key, alone on its line or at its end behind a colon. */
const copied = /^(.*: )?\s*(\$ )?(holdpoint|aws|kubectl|temporal|npm|ssh-keygen|export|source|alias|key:|ssh:) /;

/**
 * Breaks a line between words, so that a terminal of that width shows all of it; what follows is indented below its first word. Words are
 * never broken, and commands, which people copy, are one line whatever their length.
 *
 * @param indent how far; that of the line and two more where it is left out.
 */
export function wrapped(line: string, columns: number, indent?: number): string[] {
  if (!Number.isFinite(columns) || widthOf(line) <= columns) return [line];
  const plain = partsOf(line)
    .map(({ text, isCode }) => (isCode ? '' : text))
    .join('');
  if (copied.test(plain)) return [line];
  const own = indent ?? plain.length - plain.trimStart().length + 2;
  const margin = ' '.repeat(columns - own < roomMin ? 2 : own);
  const lines: string[] = [];
  let current = '';
  let width = 0;
  let isEmpty = true;
  for (const { text, isCode } of partsOf(line)) {
    if (isCode) {
      current += text;
      continue;
    }
    for (const word of text.split(/( +)/)) {
      if (word === '') continue;
      const wordWidth = columnsOf(word);
      const isSpace = word.trim() === '';
      if (width + wordWidth > columns && !isEmpty) {
        lines.push(current.trimEnd());
        current = margin;
        width = margin.length;
        isEmpty = true;
        if (isSpace) continue;
      }
      current += word;
      width += wordWidth;
      isEmpty &&= isSpace;
    }
  }
  return [...lines, current];
}

/** How many columns the longest word of a text takes, which no line break makes narrower. */
export function longestWordOf(text: string): number {
  return Math.max(...text.split(' ').map(widthOf));
}

/** Columns as wide as their widest cell, two spaces apart. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_cell, column) => Math.max(...rows.map((row) => widthOf(row[column] ?? ''))));
  return rows.map((row) =>
    row
      .map((cell, column) => padded(cell, widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
