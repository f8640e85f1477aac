import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { createLiveScene, createScene } from './scene.ts';
import { needsSandbox, play } from './transcript.ts';

const directory = fileURLToPath(new URL('transcripts', import.meta.url));
const names = readdirSync(directory).filter((name) => name.endsWith('.txt'));
/** `UPDATE_TRANSCRIPTS=1 npm test -- test/cli` writes what it sees; then a person reads the difference. */
const updates = process.env.UPDATE_TRANSCRIPTS === '1';

test.each(names)('the command line says what the transcript %s says', async (name) => {
  const file = join(directory, name);
  const text = readFileSync(file, 'utf8');
  const scene = await (needsSandbox(text) ? createLiveScene(name.replace('.txt', '')) : createScene());
  try {
    const played = await play(text, scene);
    if (updates) writeFileSync(file, played);
    expect(updates || played).toBe(updates || text);
  } finally {
    await scene.stop();
  }
});
