import { randomBytes } from 'node:crypto';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { outputOf, startEtcdMachines } from '../lab/etcd.ts';
import { etcdPrograms, findEtcd } from '../lab/kubernetes-binaries.ts';
import { timed, type ClusterStart, type EnvironmentCluster } from './environment.ts';

const names = ['m1', 'm2', 'm3'] as const;
/** How the cluster is called in holdpoint.yaml: the target is `etcd/demo`. */
const clusterName = 'demo';

/** A real cluster of etcd on this machine, whose members are started and ended by programs. */
export interface EtcdDemoCluster extends EnvironmentCluster {
  put(key: string, value: string): Promise<void>;
  /** The value that each member has by itself, by the names of the members; empty where one does not answer. */
  valuesOf(key: string): Promise<Record<string, string>>;
  /** Ends a member, changes a text in its data, and starts it again. */
  damage(member: string, text: string, other: string): Promise<void>;
}

/** Starts three members without TLS, and says how holdpoint.yaml reaches them. */
export async function startEtcdCluster({ directory, report, signal }: ClusterStart): Promise<EtcdDemoCluster> {
  const found = await findEtcd(report, { signal });
  const programs = join(directory, 'programs');
  await mkdir(programs);
  for (const program of etcdPrograms) await symlink(found[program], join(programs, program));
  await writeFile(join(directory, 'backup.key'), randomBytes(32).toString('base64'), { mode: 0o600 });
  const etcd = await timed('etcd with 3 members', report, () =>
    startEtcdMachines({ program: found.etcd, directory: join(directory, 'etcd'), names }),
  );
  const { machines, endpoints } = etcd;
  const etcdctl = (at: readonly string[], ...args: string[]): Promise<string> =>
    outputOf([found.etcdctl, ...args, `--endpoints=${at.join(',')}`]);
  return {
    env: {},
    clusters: {},
    etcd: { [clusterName]: { endpoints, programs, backups: { directory: 'backups', keyFile: 'backup.key' }, members: { ...machines } } },
    members: names.map((name) => `${clusterName}/${name}`),
    broken: new Promise(() => undefined),
    stop: () => etcd.stop(),
    put: async (key, value) => void (await etcdctl(endpoints, 'put', key, value)),
    valuesOf: async (key) => {
      const values = Object.entries(machines).map(async ([name, { endpoint }]) => {
        // By itself: a member that serves what others have would show nothing.
        const value = await etcdctl([endpoint], 'get', key, '--print-value-only', '--consistency=s').catch(() => '');
        return [name, value.trim()] as const;
      });
      return Object.fromEntries(await Promise.all(values));
    },
    damage: async (member, text, other) => {
      const machine = machines[member];
      if (!machine) throw new RangeError(`there is no member ${member}`);
      await outputOf(machine.stop);
      const file = join(machine.dataDirectory, 'member', 'snap', 'db');
      const bytes = await readFile(file);
      for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) bytes.write(other, at);
      await writeFile(file, bytes);
      await outputOf(machine.start);
    },
  };
}
