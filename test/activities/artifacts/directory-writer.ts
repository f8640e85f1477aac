/** A process that puts an artifact of many megabytes into a directory, slowly; prints a line as soon as it has begun. */
import { setTimeout as wait } from 'node:timers/promises';
import { createArtifactDirectory } from '../../../activities/artifacts/directory.ts';

const [directory = '', chunks = '0'] = process.argv.slice(2);

async function* slowly(): AsyncGenerator<Uint8Array> {
  for (let chunk = 0; chunk < Number(chunks); chunk += 1) {
    yield Buffer.alloc(1024 * 1024, chunk);
    if (chunk === 1) process.stdout.write('begun\n');
    if (chunk > 0) await wait(50);
  }
}

process.stdout.write(`${JSON.stringify(await createArtifactDirectory(directory).put(slowly()))}\n`);
