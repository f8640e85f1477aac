import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { readKubeconfig } from '../../lab/kubernetes-access.ts';
import { send } from './raw.ts';
import type { KubernetesWorld } from './world.ts';

const runFile = promisify(execFile);

/** The kubeconfig of the control plane of this worker of jest. */
export function labKubeconfig(): string {
  return fromSetup(`HOLDPOINT_LAB_KUBECONFIG_${process.env.JEST_WORKER_ID}`);
}

/** The address of its etcd. */
export function labEtcd(): string {
  return fromSetup(`HOLDPOINT_LAB_ETCD_${process.env.JEST_WORKER_ID}`);
}

/** The program etcdctl. */
export function labEtcdctl(): string {
  return fromSetup('HOLDPOINT_LAB_ETCDCTL');
}

/** The environment variable that the global setup has filled. */
function fromSetup(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run these tests with \`npm run test:lab\``);
  return value;
}

/** The control plane that half of the files of `npm run test:lab` share. */
export async function realWorld(): Promise<KubernetesWorld> {
  const { server, certificateAuthority, token } = await readKubeconfig(labKubeconfig());
  const door = { url: server, certificateAuthority, token };
  return { door, forgetVersions: () => compact(door), stop: async () => undefined };
}

/** As the API server's own compactor does it every five minutes; what lies in its memory it forgets some seconds later. */
async function compact(door: KubernetesWorld['door']): Promise<void> {
  const { body } = await send(door, 'POST', '/api/v1/namespaces', { metadata: { generateName: 'later-' } });
  const { resourceVersion } = body.metadata as { resourceVersion: string };
  await etcdctl('put', 'compact_rev_key', resourceVersion);
  await etcdctl('compact', '--physical', resourceVersion);
}

async function etcdctl(...args: string[]): Promise<void> {
  await runFile(labEtcdctl(), [`--endpoints=${labEtcd()}`, ...args]);
}
