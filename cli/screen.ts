import { createLogUpdate } from 'log-update';
import { wrapped } from './layout.ts';
import { written } from './painted.ts';
import type { Terminal } from './terminal.ts';

/** A part of the screen that is drawn anew. */
export interface Screen {
  /** Never draws more than the terminal has rows. */
  draw(lines: readonly string[]): void;
  /** What is drawn stays. */
  done(): void;
}

/** Begins a part of the screen that is drawn anew; undefined where nobody looks. Apart from `Terminal`, as it takes long to load. */
export function screenOf(terminal: Terminal): Screen | undefined {
  if (!terminal.interactive) return undefined;
  const update = createLogUpdate(terminal.surroundings.stdout as NodeJS.WriteStream);
  const draw = (lines: readonly string[]): void => {
    const most = Math.max(terminal.rows - 2, 5);
    const rows = lines.flatMap((line) => wrapped(line, terminal.columns));
    const shown = rows.length > most ? [...rows.slice(0, most - 1), '…'] : rows;
    update(shown.map(written).join('\n'));
  };
  return { draw, done: () => update.done() };
}
