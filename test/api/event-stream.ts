import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';

const untilMs = 20_000;

/** A stream of events, as a browser has it: what has come so far. */
export class EventStream {
  text = '';
  ended = false;

  constructor(readable: Readable) {
    readable.on('data', (chunk: Buffer) => (this.text += chunk.toString()));
    readable.on('end', () => (this.ended = true));
  }

  events(name: string): string[] {
    return this.text.split('\n\n').filter((block) => block.startsWith(`event: ${name}\n`));
  }

  async until(passes: (stream: EventStream) => boolean): Promise<void> {
    for (const giveUpAt = Date.now() + untilMs; !passes(this);) {
      if (Date.now() > giveUpAt) throw new Error(`waited in vain; what has come is ${this.text.slice(0, 2_000)}`);
      await wait(10);
    }
  }
}
