import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { testTranscripts } from './transcript-test.ts';

/** Those are played by transcripts-of-errors.test.ts, so that no file takes long. */
const errors = ['bad-input', 'trouble'];
const names = readdirSync(fileURLToPath(new URL('transcripts', import.meta.url)))
  .filter((name) => name.endsWith('.txt'))
  .map((name) => name.replace('.txt', ''));

testTranscripts(names.filter((name) => !errors.includes(name)));
