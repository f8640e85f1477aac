import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { findKubernetes } from '../lab/kubernetes-binaries.ts';
import { startControlPlane, type ControlPlane } from '../lab/kubernetes.ts';
import { measureCommand } from './measure/command.ts';
import { rounded } from './measure/figures.ts';
import { machine } from './measure/machine.ts';
import { wholeNumber } from './measure/settings.ts';

const objectsDefault = 100_000;
const objectBytes = 900;
const requestsAtOnce = 48;
const timeoutMs = 10 * 60_000;
/** What is asked of an export of 100,000 objects. */
const goals = { peakMemoryMb: 512 };

/**
 * `npm run bench:export -- [--objects 100000] [--json]`: how long a backup of that many objects takes of a real API server (the lab's), as
 * a worker makes it, in a process of its own, and the most memory that it has. Exit code 1 where the goal is not reached.
 */
async function main(): Promise<number> {
  const { objects, json } = readSettings();
  const where = machine();
  const plane = await startControlPlane({ binaries: await findKubernetes((sentence) => console.error(sentence)) });
  try {
    const seedingMs = performance.now();
    await seed(plane, objects);
    const seedSeconds = rounded((performance.now() - seedingMs) / 1000);
    const args = ['--import', 'tsx', 'bench/export/export-main.ts', plane.kubeconfig];
    const { stdout, seconds, peakMemoryMb } = await measureCommand(process.execPath, args, timeoutMs);
    const told = JSON.parse(stdout) as Record<string, unknown>;
    const figures = {
      objects,
      ...told,
      processSeconds: rounded(seconds),
      peakMemoryMb: rounded(peakMemoryMb),
      seedSeconds,
      goals,
      machine: where,
    };
    console.log(json ? JSON.stringify(figures) : JSON.stringify(figures, null, 2));
    return told.consistency === 'revision' && peakMemoryMb <= goals.peakMemoryMb ? 0 : 1;
  } finally {
    await plane.stop();
  }
}

/** ConfigMaps, a tenth of them Secrets, in ten namespaces. */
async function seed({ request }: ControlPlane, objects: number): Promise<void> {
  for (let space = 0; space < 10; space += 1) await request('POST', '/api/v1/namespaces', { metadata: { name: `space-${space}` } });
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < objects; index = next++) {
      // Half of it can be compressed away, and no two are alike.
      const value = randomBytes(objectBytes / 2).toString('hex');
      const kind = index % 10 === 0 ? 'secrets' : 'configmaps';
      const body = {
        metadata: { name: `object-${index}` },
        ...(kind === 'secrets' ? { stringData: { value } } : { data: { value, index: String(index) } }),
      };
      const { status, text } = await request('POST', `/api/v1/namespaces/space-${index % 10}/${kind}`, body);
      if (status !== 201) throw new Error(`POST ${kind}: ${status} ${text}`);
    }
  };
  await Promise.all(Array.from({ length: requestsAtOnce }, work));
}

function readSettings(): { objects: number; json: boolean } {
  const { values } = parseArgs({
    options: { objects: { type: 'string', default: String(objectsDefault) }, json: { type: 'boolean', default: false } },
  });
  return { objects: wholeNumber('objects', values.objects, 100, 500_000), json: values.json };
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
