import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { contextOfLook } from '../../activities/action.ts';
import { kubernetesBackups } from '../../activities/backup/exports.ts';
import { openStoreOf } from '../../activities/backup/store.ts';
import { createSystems } from '../../activities/catalogue.ts';
import { createClients } from '../../activities/clients.ts';
import { perform } from '../../activities/perform.ts';
import { actionsOf } from '../../activities/system.ts';
import { rounded } from '../measure/figures.ts';

const timeoutMs = 10 * 60_000;

/** One backup as a worker makes it, of the cluster of a kubeconfig; prints what it was as JSON. */
const [kubeconfig = ''] = process.argv.slice(2);
const directory = await mkdtemp(join(tmpdir(), 'holdpoint-bench-export-'));
try {
  const key = { file: join(directory, 'backup.key') };
  await writeFile(key.file, randomBytes(32).toString('base64'), { mode: 0o600 });
  const place = { directory: join(directory, 'backups') };
  const clients = createClients({
    clusters: async () => ({ lab: { kubeconfig, context: 'holdpoint-lab' } }),
    backups: async () => ({ 'kubernetes/lab': { place, key } }),
  });
  const action = actionsOf(createSystems(clients, ['kubernetes'])).get('kubernetes.backup')!;
  const context = contextOfLook({ run: 'r-bench', step: 's', target: { kind: 'kubernetes', region: '', name: 'lab' }, retry: 0 });
  const plan = await action.plan({}, context);
  const begunMs = performance.now();
  let [exportedMs, phase] = [0, ''];
  await perform(action, plan, context, {
    onProgress: (progress) => {
      phase = progress?.summary ?? '';
      if (phase.includes('stored')) exportedMs = performance.now();
    },
    signal: AbortSignal.timeout(timeoutMs),
    wait: (ms) => new Promise((resolve) => void setTimeout(resolve, ms)),
  });
  const endedMs = performance.now();
  const [backup] = await openStoreOf(place, kubernetesBackups).list();
  const { objects: found, snapshot, consistency } = backup!.manifest.statement;
  const seconds = (ms: number): number => rounded(ms / 1000);
  const told = {
    ...{ backedUp: found, consistency, seconds: seconds(endedMs - begunMs), exportSeconds: seconds(exportedMs - begunMs) },
    ...{ storeSeconds: seconds(endedMs - exportedMs), archiveBytes: snapshot.bytes, storedBytes: backup!.manifest.file.bytes },
  };
  console.log(JSON.stringify(told));
} finally {
  await rm(directory, { recursive: true, force: true });
}
