import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { contextOfLook, type AnyAction } from '../../activities/action.ts';
import { createSystems } from '../../activities/catalogue.ts';
import { createClients } from '../../activities/clients.ts';
import { perform, type Performance } from '../../activities/perform.ts';
import { actionsOf } from '../../activities/system.ts';
import type { ActionContext } from '../../domain/action.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import type { EtcdAccess } from '../../runbooks/configuration/etcd.ts';
import { startEtcdCluster, type EtcdCluster } from './etcd-cluster.ts';
import { createAuthority } from '../support/certificates.ts';

const runFile = promisify(execFile);
const commandTimeoutMs = 20_000;

/** A real cluster with TLS, and every action on it, as a worker has them. */
export interface EtcdWorld {
  cluster: EtcdCluster;
  /** What the worker's configuration says; a test may change it. */
  access: EtcdAccess;
  directory: string;
  etcdctl(...args: string[]): Promise<string>;
  context(differences?: Partial<ActionContext>): ActionContext;
  action(name: string): AnyAction;
  plan(action: string, input?: JsonObject, differences?: Partial<ActionContext>): Promise<ActionPlan>;
  perform(action: string, plan: ActionPlan, options?: { context?: Partial<ActionContext>; signal?: AbortSignal }): Promise<Performance>;
  stop(): Promise<void>;
}

function programOf(variable: string): string {
  const path = process.env[variable];
  if (path === undefined) throw new Error(`${variable} is not set: these tests are started by \`npm run test:lab\``);
  return path;
}

export async function startEtcdWorld(): Promise<EtcdWorld> {
  const directory = await mkdtemp(join(tmpdir(), 'holdpoint-lab-etcd-'));
  const programs = join(directory, 'programs');
  await mkdir(programs);
  const names = { etcd: 'HOLDPOINT_LAB_ETCD_PROGRAM', etcdctl: 'HOLDPOINT_LAB_ETCDCTL', etcdutl: 'HOLDPOINT_LAB_ETCDUTL' };
  for (const [name, variable] of Object.entries(names)) await symlink(programOf(variable), join(programs, name));
  const authority = await createAuthority('etcd of the lab');
  const identity = await authority.issue({ name: 'member', hosts: ['127.0.0.1'] });
  const tls = {
    certificateAuthority: join(directory, 'ca.crt'),
    certificate: join(directory, 'member.crt'),
    key: join(directory, 'member.key'),
  };
  await writeFile(tls.certificateAuthority, authority.cert);
  await writeFile(tls.certificate, identity.cert);
  await writeFile(tls.key, identity.key, { mode: 0o600 });
  await writeFile(join(directory, 'backup.key'), randomBytes(32).toString('base64'), { mode: 0o600 });
  const cluster = await startEtcdCluster({ binaries: { etcd: join(programs, 'etcd') }, tls });
  const access: EtcdAccess = {
    endpoints: cluster.endpoints,
    tls,
    programs,
    backups: { place: { directory: join(directory, 'backups') }, key: { file: join(directory, 'backup.key') } },
  };
  const target = { kind: 'etcd', region: '', name: 'lab' };
  const actions = actionsOf(
    createSystems(
      createClients(undefined, undefined, undefined, async () => ({ lab: access })),
      ['etcd'],
    ),
  );
  const context: EtcdWorld['context'] = (differences) => ({
    ...contextOfLook({ run: 'r-1', step: 's', target, retry: 0 }),
    ...differences,
  });
  const action: EtcdWorld['action'] = (name) => {
    const found = actions.get(name);
    if (!found) throw new Error(`there is no action ${name}`);
    return found;
  };
  return {
    cluster,
    access,
    directory,
    context,
    action,
    etcdctl: async (...args) => {
      const flags = [`--endpoints=${cluster.endpoints.join(',')}`, `--cacert=${tls.certificateAuthority}`];
      const own = [`--cert=${tls.certificate}`, `--key=${tls.key}`];
      return (await runFile(join(programs, 'etcdctl'), [...args, ...flags, ...own], { timeout: commandTimeoutMs })).stdout;
    },
    plan: (name, input = {}, differences = {}) => action(name).plan(input, context(differences)),
    perform: (name, plan, { context: differences, signal = AbortSignal.timeout(commandTimeoutMs * 3) } = {}) => {
      const wait = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, Math.min(ms, 200)));
      return perform(action(name), plan, context(differences), { onProgress: () => undefined, signal, wait });
    },
    stop: async () => {
      await cluster.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
