import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { createLiveEnvironment, createEnvironment } from './environment.ts';
import { needsSandbox, play } from './transcript.ts';

/** `UPDATE_TRANSCRIPTS=1 npm test -- test/cli/` writes what it sees; then a person reads the difference. */
const updates = process.env.UPDATE_TRANSCRIPTS === '1';

/** Plays transcripts/NAME.txt for each name, and compares. */
export function testTranscripts(names: readonly string[]): void {
  test.each(names)('the command line says what the transcript %s says', async (name) => {
    const file = fileURLToPath(new URL(`transcripts/${name}.txt`, import.meta.url));
    const text = readFileSync(file, 'utf8');
    const environment = await (needsSandbox(text) ? createLiveEnvironment(name) : createEnvironment());
    try {
      const played = await play(text, environment);
      if (updates) writeFileSync(file, played);
      else expect(played).toBe(text);
    } finally {
      await environment.stop();
    }
  });
}
