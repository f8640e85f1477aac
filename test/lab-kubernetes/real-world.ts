import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { readKubeconfig } from '../../lab/kubernetes-access.ts';
import { send } from './raw.ts';
import type { KubernetesWorld } from './world.ts';

const runFile = promisify(execFile);

/** The environment variable that the global setup has filled. */
export function fromSetup(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run these tests with \`npm run test:lab\``);
  return value;
}

/** The control plane that all files of `npm run test:lab` share. */
export async function realWorld(): Promise<KubernetesWorld> {
  const { server, certificateAuthority, token } = await readKubeconfig(fromSetup('HOLDPOINT_LAB_KUBECONFIG'));
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
  await runFile(fromSetup('HOLDPOINT_LAB_ETCDCTL'), [`--endpoints=${fromSetup('HOLDPOINT_LAB_ETCD')}`, ...args]);
}
