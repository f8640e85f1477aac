import { randomInt } from 'node:crypto';
import { visible } from '../domain/visible.ts';

const styles = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  magenta: [35, 39],
  cyan: [36, 39],
} as const;

/** How parts of a line are told apart for the eye. */
export type Colors = Readonly<Record<keyof typeof styles, (text: string) => string>>;

const escape = '\u001b';
/** An escape code of ours has this number in it, which nobody outside can know: whatever else looks like one is somebody else's text. */
const ours = Array.from({ length: 6 }, () => randomInt(1_000, 10_000)).join(';');
const ourCode = new RegExp(`(${escape}\\[${ours};\\d+m)`);

/** Colours, or functions that leave a text as it is. */
export function colorsOf(colored: boolean): Colors {
  const entries = Object.entries(styles).map(([name, [begin, end]]) => {
    const [open, close] = [`${escape}[${ours};${begin}m`, `${escape}[${ours};${end}m`];
    // Within a colour, the end of another one would end it as well.
    const paint = (text: string): string => open + text.replaceAll(close, close + open) + close;
    return [name, colored ? paint : (text: string) => text];
  });
  return Object.fromEntries(entries) as Colors;
}

/** A line taken apart: visible text, and in between our codes. */
export function partsOf(line: string): { text: string; isCode: boolean }[] {
  // Every second part is what the pattern has found.
  return line
    .split(ourCode)
    .map((part, index) => (index % 2 === 1 ? { text: part, isCode: true } : { text: visible(part), isCode: false }));
}

/** A line as it is written to a terminal or a pipe. */
export function written(line: string): string {
  return partsOf(line)
    .map(({ text, isCode }) => (isCode ? text.replace(`${ours};`, '') : text))
    .join('');
}
