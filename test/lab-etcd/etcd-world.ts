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
import type { ActionContext, Progress } from '../../domain/action.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { ActionPlan } from '../../domain/plan/plan.ts';
import type { EtcdAccess } from '../../runbooks/configuration/etcd.ts';
import { startEtcdMachines } from '../../lab/etcd.ts';
import { startEtcdCluster, type EtcdCluster } from './etcd-cluster.ts';
import { createAuthority } from '../support/certificates.ts';

const runFile = promisify(execFile);
const commandTimeoutMs = 20_000;

interface PerformOptions {
  access?: EtcdAccess;
  /** Where the worker is, such as `etcd/lab/m1`. */
  place?: string;
  context?: Partial<ActionContext>;
  signal?: AbortSignal;
  onProgress?: (progress: Progress | undefined) => void;
}

/** A real cluster with TLS, and every action on it, as a worker has them. */
export interface EtcdWorld {
  cluster: EtcdCluster;
  /** What the worker's configuration says; a test may change it. */
  access: EtcdAccess;
  directory: string;
  /** Runs etcdctl on all members. */
  etcdctl(...args: string[]): Promise<string>;
  /** Runs it on one of them. */
  etcdctlAt(endpoint: string, ...args: string[]): Promise<string>;
  /** Writes a value that is too long for an argument. */
  put(key: string, value: string): Promise<void>;
  /** Has the worker find a script in the place of etcdctl, in which `$REAL` is the real one; returns what puts that back. */
  replaceEtcdctl(script: string): Promise<() => void>;
  context(differences?: Partial<ActionContext>): ActionContext;
  action(name: string, reached?: EtcdAccess, place?: string): AnyAction;
  /** `reached` takes the place of the one of the world. */
  plan(action: string, input?: JsonObject, differences?: Partial<ActionContext>, reached?: EtcdAccess): Promise<ActionPlan>;
  perform(action: string, plan: ActionPlan, options?: PerformOptions): Promise<Performance>;
  stop(): Promise<void>;
}

function programOf(variable: string): string {
  const path = process.env[variable];
  if (path === undefined) throw new Error(`${variable} is not set: these tests are started by \`npm run test:lab\``);
  return path;
}

export const target = { kind: 'etcd', region: '', name: 'lab' };

/** Every action on a cluster of etcd, by its name, as a worker has them whose configuration calls it `lab`; `place` is its machine. */
export function actionsFor(access: EtcdAccess, place?: string): ReadonlyMap<string, AnyAction> {
  const clients = createClients({ etcd: async () => ({ lab: access }), ...(place !== undefined && { place }) });
  return actionsOf(createSystems(clients, ['etcd']));
}

/** Starts three members, and writes what a worker needs to reach them. `onMachines`: they are started and ended by programs. */
export async function startEtcdWorld({ onMachines = false } = {}): Promise<EtcdWorld> {
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
  const etcd = join(programs, 'etcd');
  const machines = onMachines ? await startEtcdMachines({ program: etcd, directory, names: ['m1', 'm2', 'm3'], tls }) : undefined;
  const cluster = machines ? { ...machines, members: [] } : await startEtcdCluster({ binaries: { etcd }, tls });
  const access: EtcdAccess = {
    endpoints: cluster.endpoints,
    ...(machines && { members: machines.machines }),
    tls,
    programs,
    backups: { place: { directory: join(directory, 'backups') }, key: { file: join(directory, 'backup.key') } },
  };
  const etcdctl = join(programs, 'etcdctl');
  const own = [`--cacert=${tls.certificateAuthority}`, `--cert=${tls.certificate}`, `--key=${tls.key}`];
  const flags = [`--endpoints=${cluster.endpoints.join(',')}`, ...own];
  const runEtcdctl = async (...args: string[]): Promise<string> => (await runFile(etcdctl, args, { timeout: commandTimeoutMs })).stdout;
  const context: EtcdWorld['context'] = (differences) => ({
    ...contextOfLook({ run: 'r-1', step: 's', target, retry: 0 }),
    ...differences,
  });
  const action: EtcdWorld['action'] = (name, reached = access, place) => {
    const found = actionsFor(reached, place).get(name);
    if (!found) throw new Error(`there is no action ${name}`);
    return found;
  };
  return {
    cluster,
    access,
    directory,
    context,
    action,
    etcdctl: (...args) => runEtcdctl(...args, ...flags),
    etcdctlAt: (endpoint, ...args) => runEtcdctl(...args, `--endpoints=${endpoint}`, ...own),
    put: async (key, value) => {
      const running = runFile(etcdctl, ['put', key, ...flags], { timeout: commandTimeoutMs });
      running.child.stdin?.end(value);
      await running;
    },
    replaceEtcdctl: async (script) => {
      const folder = await mkdtemp(join(directory, 'replaced-'));
      for (const name of ['etcd', 'etcdutl']) await symlink(join(programs, name), join(folder, name));
      await writeFile(join(folder, 'etcdctl'), `#!/bin/sh\nREAL=${etcdctl}\n${script}\n`, { mode: 0o755 });
      access.programs = folder;
      return () => void (access.programs = programs);
    },
    plan: (name, input = {}, differences = {}, reached = access) => action(name, reached).plan(input, context(differences)),
    perform: (
      name,
      plan,
      {
        context: differences,
        signal = AbortSignal.timeout(commandTimeoutMs * 3),
        onProgress = () => undefined,
        access: reached = access,
        place,
      } = {},
    ) => {
      const wait = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, Math.min(ms, 200)));
      return perform(action(name, reached, place), plan, context(differences), { onProgress, signal, wait });
    },
    stop: async () => {
      await cluster.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
