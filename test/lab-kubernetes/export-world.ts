import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { contextOfLook } from '../../activities/action.ts';
import { kubernetesBackups } from '../../activities/backup/exports.ts';
import { openKeyKeeper } from '../../activities/backup/keys.ts';
import { openStoreOf, type BackupStore } from '../../activities/backup/store.ts';
import { createSystems } from '../../activities/catalogue.ts';
import { createClients } from '../../activities/clients.ts';
import { readArchive } from '../../activities/kubernetes/export/read-archive.ts';
import { perform, type Performance } from '../../activities/perform.ts';
import { actionsOf } from '../../activities/system.ts';
import type { Progress } from '../../domain/action.ts';
import { typeNameOf, type ExportStatement } from '../../domain/backup/export.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import type { KubernetesRequest } from '../../lab/kubernetes-access.ts';

const runFile = promisify(execFile);
const performTimeoutMs = 110_000;
const answerBytesMax = 256 * 1024 * 1024;
const requestsAtOnce = 24;

type OnProgress = (progress: Progress | undefined) => void;

/** Clusters by the name that targets call them by, and where their backups are kept. */
export interface ExportWorld {
  directory: string;
  store(cluster: string): BackupStore<ExportStatement>;
  plan(action: string, cluster: string, input?: JsonObject, run?: string): Promise<ActionPlan>;
  perform(action: string, cluster: string, plan: ActionPlan, run?: string, onProgress?: OnProgress): Promise<Performance>;
  /** Every object of a backup by `type namespace/name`. */
  objectsOf(cluster: string, backup?: string): Promise<Map<string, JsonObject>>;
  stop(): Promise<void>;
}

/** Whatever the actions of a worker need whose configuration names these clusters, by their kubeconfigs; `samePlace` shares one. */
export async function exportWorld(kubeconfigs: Record<string, string>, samePlace: Record<string, string> = {}): Promise<ExportWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-export-'));
  const keyFile = join(directory, 'backup.key');
  await writeFile(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 });
  const clusters = Object.fromEntries(
    Object.entries(kubeconfigs).map(([name, kubeconfig]) => [name, { kubeconfig, context: 'holdpoint-lab' }]),
  );
  const placeOf = (cluster: string) => ({ directory: join(directory, samePlace[cluster] ?? cluster) });
  const places = Object.fromEntries(
    Object.keys(kubeconfigs).map((name) => [`kubernetes/${name}`, { place: placeOf(name), key: { file: keyFile } }]),
  );
  const clients = createClients({ clusters: async () => clusters, backups: async () => places });
  const actions = actionsOf(createSystems(clients, ['kubernetes']));
  const found = (action: string) => actions.get(action)!;
  const context = (name: string, run: string) =>
    contextOfLook({ run, step: 's', target: { kind: 'kubernetes', region: '', name }, retry: 0 });
  const store = (cluster: string) => openStoreOf(placeOf(cluster), kubernetesBackups);
  return {
    directory,
    store,
    plan: (action, cluster, input = {}, run = 'r-1') => found(action).plan(input, context(cluster, run)),
    perform: (action, cluster, plan, run = 'r-1', onProgress = () => undefined) =>
      perform(found(action), plan, context(cluster, run), {
        onProgress,
        signal: AbortSignal.timeout(performTimeoutMs),
        wait: (ms) => new Promise((resolve) => void setTimeout(resolve, Math.min(ms, 100))),
      }),
    objectsOf: async (cluster, backup) => {
      const stored = await store(cluster).list();
      const { name, manifest } = stored.find((one) => one.name === backup) ?? stored.at(-1)!;
      const objects = new Map<string, JsonObject>();
      const keys = await openKeyKeeper({ file: keyFile });
      for await (const { type, namespace, name: own, object } of readArchive(
        name,
        store(cluster).open(manifest, keys),
        manifest.statement,
      )) {
        objects.set(`${typeNameOf(type)} ${namespace}/${own}`, object);
      }
      return objects;
    },
    stop: () => rm(directory, { recursive: true, force: true }),
  };
}

/** Sends requests, some at once, and fails where one of them is refused. */
export async function sendAll(request: KubernetesRequest, sent: readonly { path: string; body: object }[]): Promise<void> {
  const left = [...sent];
  const work = async (): Promise<void> => {
    for (let next = left.pop(); next; next = left.pop()) {
      const { status, text } = await request('POST', next.path, next.body);
      if (status !== 201) throw new Error(`POST ${next.path}: ${status} ${text}`);
    }
  };
  await Promise.all(Array.from({ length: requestsAtOnce }, work));
}

/** What etcd itself holds of the registry at a revision: the revision at which each key was last written. */
export async function registryAt(etcdctl: string, endpoint: string, revision: number): Promise<Map<string, string>> {
  const args = ['get', '/registry/', '--prefix', '--keys-only', `--rev=${revision}`, '-w', 'json', `--endpoints=${endpoint}`];
  const { stdout } = await runFile(etcdctl, args, { maxBuffer: answerBytesMax });
  const { kvs } = JSON.parse(stdout) as { kvs: { key: string; mod_revision: number }[] };
  return new Map(kvs.map(({ key, mod_revision }) => [Buffer.from(key, 'base64').toString(), String(mod_revision)]));
}
